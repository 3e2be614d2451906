#Requires -Version 7.2
# After the code is there: that its functions are, the Event Grid subscription from the inbox to on_drop, then the proof that all of
# it works, and what still waits. Can be repeated. Usage: postdeploy.ps1 [-Dry] [DEPLOYMENT]; azd calls it without.
param([string] $Deployment, [switch] $Dry)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
. "$PSScriptRoot/outputs.ps1"

Import-Output $Deployment
Assert-Variable AZURE_RESOURCE_GROUP FUNCTION_APP_NAME EVENT_GRID_TOPIC DATA_STORAGE_ACCOUNT INBOX_CONTAINER DEAD_LETTER_CONTAINER CONNECTOR_PRINCIPAL_ID

Wait-Until {
  $found = Invoke-Az functionapp function list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:FUNCTION_APP_NAME --output json --only-show-errors |
    Out-String | ConvertFrom-Json
  if ($Dry) { return }
  $names = @($found | ForEach-Object { $_.name })
  $missing = @('on_drop', 'on_tick' | Where-Object { $names -notcontains "$env:FUNCTION_APP_NAME/$_" })
  if ($missing) { throw "the app has no function $($missing -join ' ') yet" }
} "$env:FUNCTION_APP_NAME, where the code was deployed: its packages are for another Python than the app's; look for 'RemoteBuild' in the output of the deployment, run tools/package.py, deploy again"
Write-Done "functions: on_drop and on_tick of $env:FUNCTION_APP_NAME"

# Asks whether the key is there, not for the key.
Wait-Until {
  $there = Invoke-Az functionapp keys list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:FUNCTION_APP_NAME `
    --query "contains(keys(systemKeys), 'blobs_extension')" --output tsv --only-show-errors
  if (-not $Dry -and $there -ne 'true') { throw 'there is no key blobs_extension' }
} "the host of $env:FUNCTION_APP_NAME has not started the blob trigger"

# Event Grid asks the webhook for an answer before it accepts it, and the app may be asleep: once more, then.
Wait-Until {
  $env:EVENT_SUBSCRIPTION_ID = Invoke-Az deployment group create --resource-group $env:AZURE_RESOURCE_GROUP --name event-subscription `
    --template-file "$Root/infra/event-subscription.bicep" --only-show-errors `
    --query properties.outputs.subscriptionId.value --output tsv `
    --parameters "functionAppName=$env:FUNCTION_APP_NAME" "topicName=$env:EVENT_GRID_TOPIC" "accountName=$env:DATA_STORAGE_ACCOUNT" `
    "inboxContainer=$env:INBOX_CONTAINER" "deadLetterContainer=$env:DEAD_LETTER_CONTAINER"
} "Event Grid did not accept the webhook of $env:FUNCTION_APP_NAME" -Tries 3
Write-Done "event grid: $env:INBOX_CONTAINER of $env:DATA_STORAGE_ACCOUNT -> on_drop of $env:FUNCTION_APP_NAME"

if ($env:SKIP_DOCTOR) { exit 0 }
$settings = Invoke-Az functionapp config appsettings list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:FUNCTION_APP_NAME `
  --output json --only-show-errors | Out-String | ConvertFrom-Json
if ($Dry) {
  Write-Host 'python tools/verdict.py'
  exit 0
}
# The app's settings without its identity, which works inside the app alone: here it is you who asks.
$identity = 'AZURE_CLIENT_ID', 'HR_STORAGE__credential', 'HR_STORAGE__clientId'
foreach ($setting in $settings) {
  if ($setting.name -notmatch '^(AzureWebJobs|APPLICATIONINSIGHTS_|PYTHON_|WEBSITE_)' -and $identity -notcontains $setting.name) {
    Set-Item -Path "env:$($setting.name)" -Value $setting.value
  }
}
if ($env:DEPLOY_CLIENT_ID) {
  # In CI: the doctor asks for tokens when GitHub's is gone. az keeps these for an hour.
  foreach ($resource in $env:GRAPH_BASE_URL, 'https://storage.azure.com') {
    Invoke-Az account get-access-token --scope "$resource/.default" --output none
  }
}
$env:EXAMPLE_FEEDS = @(Get-Example | ForEach-Object { $_.FullName }) -join "`n"
Set-Location $Root
# The app examines itself at its first tick: where you may read what it found, it answers for what you may not do.
$python = Get-Python
& $python tools/verdict.py
exit $LASTEXITCODE
