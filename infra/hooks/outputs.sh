# shellcheck shell=bash
# For the hooks to source: the outputs of infra/main.bicep as environment variables, and az on the subscription that they are of.
# azd sets the outputs itself; otherwise the name of the deployment is the hook's first argument. With --dry every call is shown and
# none is made.

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
feeds_folder=${FEEDS_FOLDER:-$root/infra/feeds}
dry=''

say() { printf '%s\n' "$*" >&2; }

# What was done, which is nothing where calls are only shown.
report() { [ -n "$dry" ] || say "$@"; }

fail() {
  say "error: $*"
  exit 1
}

# That of the connector, where it is set up.
python() {
  local program=${PYTHON:-$root/.venv/bin/python}
  [ -x "$program" ] || program=python3
  "$program" "$@"
}

# What az said last, on one line.
last_error() { tr '\n' ' ' <"$state/errors" 2>/dev/null | sed 's/  */ /g; s/ $//' | cut -c -600; }

# A token of GitHub's lives for five minutes, and az asks for each new token of Azure's by the one that it was given (Azure/login#372):
# so a fresh one is given to it before that.
sign_in() {
  [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ] && [ -n "${DEPLOY_CLIENT_ID:-}" ] || return 0
  [ -z "$(find "$state" -name signed-in -mmin "-${SIGNED_IN_MINUTES:-3}")" ] || return 0
  local answer token
  answer=$(curl --silent --show-error --fail --header @- "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=api://AzureADTokenExchange" \
    <<<"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" 2>"$state/errors") ||
    fail "GitHub gave no token: $(last_error). The job needs 'permissions: id-token: write'."
  token=$(python -c 'import json, sys; print(json.load(sys.stdin)["value"])' <<<"$answer")
  command az login --service-principal --username "$DEPLOY_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --federated-token "$token" \
    --allow-no-subscriptions --output none 2>"$state/errors" || fail "az login: $(last_error)"
  touch "$state/signed-in"
}

# One call of az, on the deployment's subscription and not on the one that az is set to. What it says when it fails is kept.
call() {
  if [ -n "$dry" ]; then
    { printf 'az' && printf ' %q' "$@" --subscription "$AZURE_SUBSCRIPTION_ID" && echo; } >&2
    return 0
  fi
  sign_in
  command az "$@" --subscription "$AZURE_SUBSCRIPTION_ID" 2>"$state/errors"
}

# One call that has to succeed.
az() { call "$@" || fail "az $1 $2: $(last_error)"; }

outputs() {
  local name='' argument exports
  for argument in "$@"; do
    case $argument in
      --dry) dry=yes ;;
      -*) fail "there is no option $argument, only --dry" ;;
      *) name=$argument ;;
    esac
  done
  if [ -n "$dry" ]; then
    : "${AZURE_SUBSCRIPTION_ID:=AZURE_SUBSCRIPTION_ID}"
  else
    type -P az >/dev/null || fail 'az (the Azure CLI) is not installed.'
  fi
  [ -n "$name" ] || return 0
  if [ -z "${AZURE_SUBSCRIPTION_ID:-}" ]; then
    AZURE_SUBSCRIPTION_ID=$(command az account show --query id --output tsv) || fail 'sign in: az login'
  fi
  call deployment sub show --name "$name" --query properties.outputs --output json >"$state/outputs" ||
    fail "there is no deployment $name in the subscription $AZURE_SUBSCRIPTION_ID, or it has not succeeded: $(last_error)"
  [ -z "$dry" ] || return 0
  # Resource Manager changes the case of some letters in output names, so all become upper case.
  exports=$(
    python -c 'import json, shlex, sys
for name, output in json.load(sys.stdin).items():
    value = output["value"]
    print("export", name.upper() + "=" + shlex.quote(str(value)))' <"$state/outputs"
  )
  eval "$exports"
}

need() {
  local name
  for name in AZURE_SUBSCRIPTION_ID "$@"; do
    # What is not known stands for itself where calls are only shown.
    [ -z "$dry" ] || [ -n "${!name:-}" ] || printf -v "$name" '%s' "$name"
    [ -n "${!name:-}" ] || fail "$name is not set. Run this by azd, or give it the name of the deployment: $0 NAME"
  done
}

# A role that was just given takes up to some minutes to work (Azure RBAC, "Role assignment changes are not being detected").
patiently() {
  local tries=${RETRIES:-20} pause=${RETRY_SECONDS:-15} try=1
  until "$@"; do
    [ "$try" -lt "$tries" ] || return 1
    say "not yet ($try of $tries): $(last_error); again in $pause s"
    sleep "$pause"
    try=$((try + 1))
  done
}

# The feed files that still have the endpoint of the example: they would send nobody anywhere, and are not deployed.
examples() { grep --files-with-matches --extended-regexp '^endpoint:.*/servicePrincipals/0{8}-' "$feeds_folder"/*.yaml 2>/dev/null || true; }
