#!/usr/bin/env bash
# Compiles all of infra/ with the real Bicep compiler; any warning fails. graph-roles needs a network (its extension comes from
# Microsoft's registry), the rest does not: OFFLINE=1 leaves graph-roles out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

bicep() {
  if command -v bicep >/dev/null; then command bicep "$@"; else az bicep "${@:1:1}" --file "${@:2}"; fi
}

findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
files=(main.bicep event-subscription.bicep)
[ -n "${OFFLINE:-}" ] || files+=(graph-roles/main.bicep)
status=0
for file in "${files[@]}"; do
  for command in build lint; do
    if [ "$command" = build ]; then
      bicep build "$file" --stdout >/dev/null 2>"$findings" || status=1
    else
      bicep lint "$file" >"$findings" 2>&1 || status=1
    fi
    # What the compiler finds looks like: path(line,column) : Warning code: message
    if grep -E '\) : (Warning|Error|Info) ' "$findings"; then status=1; fi
  done
  echo "$file: compiled"
done
bicep build-params main.bicepparam --stdout >/dev/null 2>"$findings" || status=1
if grep -E '\) : (Warning|Error|Info) ' "$findings"; then status=1; fi
echo 'main.bicepparam: compiled'
exit "$status"
