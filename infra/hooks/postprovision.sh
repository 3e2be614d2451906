#!/usr/bin/env bash
# After the resources are there: feed files into the config container; with SFTP, each feed's folder to its user.
# Can be repeated. Usage: postprovision.sh [--dry] [DEPLOYMENT]; azd calls it without.
set -euo pipefail
# shellcheck source=infra/hooks/outputs.sh
. "$(dirname "${BASH_SOURCE[0]}")/outputs.sh"

outputs "$@"
need AZURE_RESOURCE_GROUP DATA_STORAGE_ACCOUNT CONFIG_CONTAINER INBOX_CONTAINER

upload() {
  call storage blob upload --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" --container-name "$CONFIG_CONTAINER" \
    --name "feeds/$(basename "$1")" --file "$1" --overwrite true --only-show-errors --output none
}

# Feed files, and the lookup tables beside them.
uploaded=0
for file in "$feeds_folder"/*.yaml "$feeds_folder"/*.csv; do
  [ -e "$file" ] || continue
  name=$(basename "$file")
  if grep -qxF "$file" <<<"$(examples)"; then
    say "feed files: $name is not uploaded: its endpoint is still the example's"
    continue
  fi
  if [ "$name" != "${name%.yaml}" ]; then
    case " ${FEEDS:-} " in
      *" ${name%.yaml} "*) ;;
      *) say "warning: the feed ${name%.yaml} is not in the parameter 'feeds' (infra/main.bicepparam): its runs, with personal data, will be kept for ever." ;;
    esac
  fi
  patiently upload "$file" ||
    fail "cannot write to $DATA_STORAGE_ACCOUNT/$CONFIG_CONTAINER: $(last_error). Set AZURE_PRINCIPAL_ID to your object id and provision again; with private networking, run this from inside the network or add your address to 'allowedAddresses'."
  uploaded=$((uploaded + 1))
done
report "feed files: $uploaded uploaded to $DATA_STORAGE_ACCOUNT/$CONFIG_CONTAINER/feeds"

inbox() {
  call "$@" --auth-mode login --account-name "$DATA_STORAGE_ACCOUNT" --file-system "$INBOX_CONTAINER" --only-show-errors
}

folder() {
  local there
  there=$(inbox storage fs directory exists --name "$1" --query exists --output tsv) || return 1
  [ "$there" = true ] || inbox storage fs directory create --name "$1" --output none
}

if [ -n "${SFTP_FEEDS:-}" ]; then
  account="/subscriptions/$AZURE_SUBSCRIPTION_ID/resourceGroups/$AZURE_RESOURCE_GROUP/providers/Microsoft.Storage/storageAccounts/$DATA_STORAGE_ACCOUNT"
  # Users pass through the container's root and see nothing there.
  patiently inbox storage fs access set --path / --acl 'user::rwx,group::r-x,other::--x' --output none ||
    fail "cannot set access lists in $DATA_STORAGE_ACCOUNT/$INBOX_CONTAINER: $(last_error)"
  for feed in $SFTP_FEEDS; do
    # The same name as in infra/modules/sftp.bicep.
    user=${feed//-/}
    owner=$(az rest --method get --url "$account/localUsers/$user" --url-parameters api-version=2024-01-01 --query properties.userId --output tsv)
    [ -n "$owner$dry" ] || fail "the SFTP user $user has no id; provision again with sftp on."
    patiently folder "$feed" || fail "cannot make the folder $INBOX_CONTAINER/$feed: $(last_error)"
    # Create and pass, not list: what lies in a feed's folder is nobody's to see, its user included.
    patiently inbox storage fs access set --path "$feed" --owner "$owner" --acl 'user::-wx,group::---,other::---' --output none ||
      fail "cannot give the folder $INBOX_CONTAINER/$feed to its user: $(last_error)"
    report "sftp: $DATA_STORAGE_ACCOUNT.$user creates files in $INBOX_CONTAINER/$feed, and sees nothing"
  done
fi
