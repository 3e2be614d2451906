#!/usr/bin/env bash
# After the code is there: the Event Grid subscription from the inbox to on_drop, then the proof that all of it works.
# Can be repeated. Usage: postdeploy.sh [DEPLOYMENT]; azd calls it without.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=infra/hooks/outputs.sh
. "$here/outputs.sh"

outputs "$@"
need AZURE_RESOURCE_GROUP FUNCTION_APP_NAME EVENT_GRID_TOPIC DATA_STORAGE_ACCOUNT INBOX_CONTAINER DEAD_LETTER_CONTAINER

# Asks whether the key is there, not for the key.
webhook() {
  [ "$(az functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" \
    --query "contains(keys(systemKeys), 'blobs_extension')" --output tsv --only-show-errors 2>/dev/null)" = true ]
}

patiently webhook ||
  fail "the host of $FUNCTION_APP_NAME has not started the blob trigger. Is the code deployed?"

# Event Grid asks the webhook for an answer before it accepts it, and the app may be asleep: once more, then.
subscribe() {
  EVENT_SUBSCRIPTION_ID=$(
    az deployment group create --resource-group "$AZURE_RESOURCE_GROUP" --name event-subscription \
      --template-file "$here/../event-subscription.bicep" --only-show-errors \
      --query properties.outputs.subscriptionId.value --output tsv \
      --parameters functionAppName="$FUNCTION_APP_NAME" topicName="$EVENT_GRID_TOPIC" accountName="$DATA_STORAGE_ACCOUNT" \
      inboxContainer="$INBOX_CONTAINER" deadLetterContainer="$DEAD_LETTER_CONTAINER"
  )
}

RETRIES=${SUBSCRIBE_RETRIES:-3} patiently subscribe || fail "Event Grid did not accept the webhook of $FUNCTION_APP_NAME (message above)."
say "event grid: $INBOX_CONTAINER of $DATA_STORAGE_ACCOUNT -> on_drop of $FUNCTION_APP_NAME"

[ -z "${SKIP_DOCTOR:-}" ] || exit 0
root=$here/../..
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
# The app's settings without its identity, which works inside the app alone: here it is you who asks.
settings=$(
  az functionapp config appsettings list --resource-group "$AZURE_RESOURCE_GROUP" --name "$FUNCTION_APP_NAME" --output json --only-show-errors |
    "$python" -c 'import json, shlex, sys
hosts_own = ("AzureWebJobs", "APPLICATIONINSIGHTS_", "PYTHON_", "WEBSITE_")
identity = ("AZURE_CLIENT_ID", "HR_STORAGE__credential", "HR_STORAGE__clientId")
for setting in json.load(sys.stdin):
    name = setting["name"]
    if name.isidentifier() and not name.startswith(hosts_own) and name not in identity:
        print("export", name + "=" + shlex.quote(setting["value"]))'
)
eval "$settings"
export EVENT_SUBSCRIPTION_ID FUNCTION_APP_NAME
cd "$root"
# The app examines itself at its first tick: where you may read what it found, it answers for what you may not do.
exec "$python" -m connector doctor --wait "${DOCTOR_WAIT:-10m}"
