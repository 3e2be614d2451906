#!/usr/bin/env bash
# After the resources are there: feed files into the config container; with SFTP, each feed's folder to its user.
# Can be repeated. Usage: postprovision.sh [DEPLOYMENT]; azd calls it without.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=infra/hooks/outputs.sh
. "$here/outputs.sh"

outputs "$@"
need AZURE_RESOURCE_GROUP DATA_STORAGE_ACCOUNT CONFIG_CONTAINER INBOX_CONTAINER
feeds_folder=${FEEDS_FOLDER:-$here/../feeds}

upload() {
  az storage blob upload-batch --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" \
    --source "$feeds_folder" --destination "$CONFIG_CONTAINER" --destination-path feeds \
    --pattern "$1" --overwrite true --only-show-errors --output none
}

for file in "$feeds_folder"/*.yaml; do
  [ -e "$file" ] || fail "there is no feed file in $feeds_folder."
  feed=$(basename "$file" .yaml)
  case " ${FEEDS:-} " in
    *" $feed "*) ;;
    *) say "warning: the feed $feed is not in the parameter 'feeds' (infra/main.bicepparam): its runs, with personal data, will be kept for ever." ;;
  esac
done
# Feed files, and the lookup tables beside them.
for pattern in '*.yaml' '*.csv'; do
  patiently upload "$pattern" ||
    fail "cannot write to $DATA_STORAGE_ACCOUNT/$CONFIG_CONTAINER. Set AZURE_PRINCIPAL_ID to your object id and provision again; with private networking, run this from inside the network or add your address to 'allowedAddresses'."
done
say "feed files: uploaded to $DATA_STORAGE_ACCOUNT/$CONFIG_CONTAINER/feeds"

acl() {
  az storage fs access set --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" --file-system "$INBOX_CONTAINER" \
    --only-show-errors --output none "$@"
}

folder() {
  az storage fs directory exists --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" --file-system "$INBOX_CONTAINER" \
    --name "$1" --query exists --output tsv --only-show-errors | grep -qi true ||
    az storage fs directory create --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" --file-system "$INBOX_CONTAINER" \
      --name "$1" --only-show-errors --output none
}

if [ -n "${SFTP_FEEDS:-}" ]; then
  subscription=$(az account show --query id --output tsv)
  account="/subscriptions/$subscription/resourceGroups/$AZURE_RESOURCE_GROUP/providers/Microsoft.Storage/storageAccounts/$DATA_STORAGE_ACCOUNT"
  # Users pass through the container's root and see nothing there.
  patiently acl --path / --acl 'user::rwx,group::r-x,other::--x' || fail "cannot set access lists in $DATA_STORAGE_ACCOUNT/$INBOX_CONTAINER."
  for feed in $SFTP_FEEDS; do
    # The same name as in infra/modules/sftp.bicep.
    user=${feed//-/}
    owner=$(az rest --method get --url "$account/localUsers/$user?api-version=2024-01-01" --query properties.userId --output tsv)
    [ -n "$owner" ] || fail "the SFTP user $user has no id; provision again with sftp on."
    patiently folder "$feed" || fail "cannot make the folder $INBOX_CONTAINER/$feed."
    # Create and pass, not list: what lies in a feed's folder is nobody's to see, its user included.
    acl --path "$feed" --owner "$owner" --acl 'user::-wx,group::---,other::---'
    say "sftp: $DATA_STORAGE_ACCOUNT.$user creates files in $INBOX_CONTAINER/$feed, and sees nothing"
  done
fi
