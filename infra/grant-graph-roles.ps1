#Requires -Version 7.2
<#
.SYNOPSIS
Gives the connector's identity its Microsoft Graph permissions, and no more. Can be repeated.
.DESCRIPTION
For an administrator who may (AppRoleAssignment.ReadWrite.All; Privileged Role Administrator), signed in by `az login`.
.PARAMETER PrincipalId
Object id of the identity: output CONNECTOR_PRINCIPAL_ID of infra/main.bicep.
.PARAMETER Check
Changes nothing; exit 1 if a permission is missing or there is one too many.
.PARAMETER WithoutJobStatus
Leave out Synchronization.Read.All.
#>
[CmdletBinding()]
param(
  [Parameter(Mandatory, Position = 0)]
  [guid] $PrincipalId,
  [switch] $Check,
  [switch] $WithoutJobStatus
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false

function Invoke-Az {
  $answer = & az @args
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..2] -join ' ') failed (message above)." }
  $answer
}

$graph = (Invoke-Az cloud show --query endpoints.microsoftGraphResourceId --output tsv).TrimEnd('/')
# Microsoft Graph's own application id is the same in every tenant.
$servicePrincipal = Invoke-Az rest --method get --url "$graph/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')" --output json |
  Out-String | ConvertFrom-Json
$assignments = "$graph/v1.0/servicePrincipals/$PrincipalId/appRoleAssignments"
$granted = @((Invoke-Az rest --method get --url $assignments --output json | Out-String | ConvertFrom-Json).value |
    Where-Object { $_.resourceId -eq $servicePrincipal.id } | ForEach-Object { $_.appRoleId })

$roles = @('SynchronizationData-User.Upload', 'ProvisioningLog.Read.All')
if (-not $WithoutJobStatus) { $roles += 'Synchronization.Read.All' }

$status = 0
$wanted = @()
foreach ($role in $roles) {
  $id = $servicePrincipal.appRoles | Where-Object { $_.value -eq $role } | Select-Object -First 1 -ExpandProperty id
  if (-not $id) { throw "Microsoft Graph of this cloud has no permission $role." }
  $wanted += $id
  if ($granted -contains $id) {
    "has      $role"
  }
  elseif ($Check) {
    "MISSING  $role"
    $status = 1
  }
  else {
    # By a file: quotes on a command line do not survive every shell between here and az.
    $body = New-TemporaryFile
    try {
      @{ principalId = "$PrincipalId"; resourceId = $servicePrincipal.id; appRoleId = $id } | ConvertTo-Json | Set-Content -Path $body
      Invoke-Az rest --method post --url $assignments --headers 'Content-Type=application/json' --body "@$body" --output none
    }
    finally {
      Remove-Item -Path $body
    }
    "granted  $role"
  }
}

foreach ($id in $granted | Where-Object { $wanted -notcontains $_ }) {
  $name = $servicePrincipal.appRoles | Where-Object { $_.id -eq $id } | Select-Object -First 1 -ExpandProperty value
  if (-not $name) { $name = $id }
  "SURPLUS  ${name}: the connector does not need it"
  if ($Check) { $status = 1 }
}
if ($status -ne 0) { Write-Warning 'To grant what is missing, run this without -Check as an administrator.' }
exit $status
