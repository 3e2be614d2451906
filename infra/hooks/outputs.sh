# shellcheck shell=bash
# For the hooks to source: the outputs of infra/main.bicep as environment variables. azd sets them itself; otherwise the name of the
# deployment is the hook's first argument.

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

outputs() {
  command -v az >/dev/null || fail "az (the Azure CLI) is not installed."
  if [ $# -gt 0 ]; then
    local exports
    # Resource Manager changes the case of some letters in output names, so all become upper case.
    exports=$(
      az deployment sub show --name "$1" --query properties.outputs --output json |
        python3 -c 'import json, shlex, sys
for name, output in json.load(sys.stdin).items():
    value = output["value"]
    print("export", name.upper() + "=" + shlex.quote(str(value)))'
    ) || fail "there is no deployment $1 in this subscription (az deployment sub list), or it has not succeeded."
    eval "$exports"
  fi
}

need() {
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || fail "$name is not set. Run this by azd, or give it the name of the deployment: $0 NAME"
  done
}

# A role that was just given takes up to some minutes to work (Azure RBAC, "Role assignment changes are not being detected").
patiently() {
  local tries=${RETRIES:-20} pause=${RETRY_SECONDS:-15} try=1
  until "$@"; do
    [ "$try" -lt "$tries" ] || return 1
    say "not yet ($try of $tries), again in $pause s"
    sleep "$pause"
    try=$((try + 1))
  done
}
