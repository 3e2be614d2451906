#!/usr/bin/env bash
# After the code is there: that its functions are, the Event Grid subscription from the inbox to on_drop, then the proof that all of
# it works, and what still waits. Can be repeated. Usage: postdeploy.sh [--dry] [DEPLOYMENT]; azd calls it without.
set -euo pipefail
# shellcheck source=infra/hooks/outputs.sh
. "$(dirname "${BASH_SOURCE[0]}")/outputs.sh"

outputs "$@"
need AZURE_RESOURCE_GROUP FUNCTION_APP_NAME EVENT_GRID_TOPIC DATA_STORAGE_ACCOUNT INBOX_CONTAINER DEAD_LETTER_CONTAINER CONNECTOR_PRINCIPAL_ID

missing=''
functions() {
  local found name
  found=$(call functionapp function list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" --output json --only-show-errors) ||
    return 1
  missing=''
  [ -z "$dry" ] || return 0
  for name in on_drop on_tick; do
    grep -qF "\"$FUNCTION_APP_NAME/$name\"" <<<"$found" || missing="$missing $name"
  done
  [ -z "$missing" ] && return 0
  echo "the app has no function$missing yet" >"$state/errors"
  return 1
}

patiently functions ||
  fail "$FUNCTION_APP_NAME: $(last_error). Where the code was deployed, its packages are for another Python than the app's: look for 'RemoteBuild' in the output of the deployment, run tools/package.py, deploy again."
report "functions: on_drop and on_tick of $FUNCTION_APP_NAME"

# Asks whether the key is there, not for the key.
webhook() {
  local there
  there=$(call functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" \
    --query "contains(keys(systemKeys), 'blobs_extension')" --output tsv --only-show-errors) || return 1
  [ -z "$dry" ] || return 0
  [ "$there" = true ] && return 0
  echo 'there is no key blobs_extension' >"$state/errors"
  return 1
}

patiently webhook || fail "the host of $FUNCTION_APP_NAME has not started the blob trigger: $(last_error)"

# Event Grid asks the webhook for an answer before it accepts it, and the app may be asleep: once more, then.
subscribe() {
  EVENT_SUBSCRIPTION_ID=$(
    call deployment group create --resource-group "$AZURE_RESOURCE_GROUP" --name event-subscription \
      --template-file "$root/infra/event-subscription.bicep" --only-show-errors \
      --query properties.outputs.subscriptionId.value --output tsv \
      --parameters functionAppName="$FUNCTION_APP_NAME" topicName="$EVENT_GRID_TOPIC" accountName="$DATA_STORAGE_ACCOUNT" \
      inboxContainer="$INBOX_CONTAINER" deadLetterContainer="$DEAD_LETTER_CONTAINER"
  )
}

RETRIES=${SUBSCRIBE_RETRIES:-3} patiently subscribe ||
  fail "Event Grid did not accept the webhook of $FUNCTION_APP_NAME: $(last_error)"
report "event grid: $INBOX_CONTAINER of $DATA_STORAGE_ACCOUNT -> on_drop of $FUNCTION_APP_NAME"

[ -z "${SKIP_DOCTOR:-}" ] || exit 0
settings=$(az functionapp config appsettings list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" --output json --only-show-errors)
if [ -n "$dry" ]; then
  say "python tools/verdict.py"
  exit 0
fi
# The app's settings without its identity, which works inside the app alone: here it is you who asks.
exports=$(
  python -c 'import json, shlex, sys
hosts_own = ("AzureWebJobs", "APPLICATIONINSIGHTS_", "PYTHON_", "WEBSITE_")
identity = ("AZURE_CLIENT_ID", "HR_STORAGE__credential", "HR_STORAGE__clientId")
for setting in json.load(sys.stdin):
    name = setting["name"]
    if name.isidentifier() and not name.startswith(hosts_own) and name not in identity:
        print("export", name + "=" + shlex.quote(setting["value"]))' <<<"$settings"
)
eval "$exports"
if [ -n "${DEPLOY_CLIENT_ID:-}" ]; then
  # In CI: the doctor asks for tokens when GitHub's is gone. az keeps these for an hour.
  for resource in "${GRAPH_BASE_URL:-}" https://storage.azure.com; do
    az account get-access-token --scope "$resource/.default" --output none
  done
fi
export EVENT_SUBSCRIPTION_ID FUNCTION_APP_NAME AZURE_RESOURCE_GROUP AZURE_SUBSCRIPTION_ID CONNECTOR_PRINCIPAL_ID
export EXAMPLE_FEEDS=''
EXAMPLE_FEEDS=$(examples)
cd "$root"
# The app examines itself at its first tick: where you may read what it found, it answers for what you may not do.
python tools/verdict.py
