#!/usr/bin/env bash
# Gives the connector's identity its Microsoft Graph permissions, and no more. For an administrator who may
# (AppRoleAssignment.ReadWrite.All; Privileged Role Administrator), signed in by `az login`. Can be repeated.
#
# Usage: grant-graph-roles.sh PRINCIPAL_ID [--check] [--without-job-status]
#   PRINCIPAL_ID          object id of the identity: output CONNECTOR_PRINCIPAL_ID of infra/main.bicep
#   --check               changes nothing; exit 1 if a permission is missing or there is one too many
#   --without-job-status  leave out Synchronization.Read.All
set -euo pipefail

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

principal='' check='' roles='SynchronizationData-User.Upload ProvisioningLog.Read.All Synchronization.Read.All'
for argument in "$@"; do
  case $argument in
    --check) check=yes ;;
    --without-job-status) roles='SynchronizationData-User.Upload ProvisioningLog.Read.All' ;;
    -*) usage ;;
    *)
      [ -z "$principal" ] || usage
      principal=$argument
      ;;
  esac
done
[[ $principal =~ ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$ ]] || usage
command -v az >/dev/null || {
  echo 'error: az (the Azure CLI) is not installed.' >&2
  exit 1
}

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}
# Microsoft Graph's own application id is the same in every tenant.
service="$graph/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')"
assignments="$graph/v1.0/servicePrincipals/$principal/appRoleAssignments"

resource=$(az rest --method get --url "$service" --query id --output tsv)
granted=$(az rest --method get --url "$assignments" --query "value[?resourceId=='$resource'].appRoleId" --output tsv)

status=0 wanted=''
for role in $roles; do
  id=$(az rest --method get --url "$service" --query "appRoles[?value=='$role'].id | [0]" --output tsv)
  if [ -z "$id" ]; then
    echo "error: Microsoft Graph of this cloud has no permission $role." >&2
    exit 1
  fi
  wanted="$wanted $id"
  if grep -qix "$id" <<<"$granted"; then
    echo "has      $role"
  elif [ -n "$check" ]; then
    echo "MISSING  $role"
    status=1
  else
    az rest --method post --url "$assignments" --headers 'Content-Type=application/json' --output none \
      --body "{\"principalId\": \"$principal\", \"resourceId\": \"$resource\", \"appRoleId\": \"$id\"}"
    echo "granted  $role"
  fi
done

for id in $granted; do
  case "$wanted " in
    *" $id "*) ;;
    *)
      name=$(az rest --method get --url "$service" --query "appRoles[?id=='$id'].value | [0]" --output tsv)
      echo "SURPLUS  ${name:-$id}: the connector does not need it"
      [ -z "$check" ] || status=1
      ;;
  esac
done
[ "$status" -eq 0 ] || echo 'To grant what is missing, run this without --check as an administrator.' >&2
exit "$status"
