#Requires -Version 7.2
# After the code is there: the Event Grid subscription from the inbox to on_drop, then the proof that all of it works.
# Can be repeated. Usage: postdeploy.ps1 [DEPLOYMENT]; azd calls it without.
param([string] $Deployment)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/outputs.ps1"

Import-Output $Deployment
Assert-Variable AZURE_RESOURCE_GROUP FUNCTION_APP_NAME EVENT_GRID_TOPIC DATA_STORAGE_ACCOUNT INBOX_CONTAINER DEAD_LETTER_CONTAINER

# Asks whether the key is there, not for the key.
Wait-Until {
  $there = Invoke-Az functionapp keys list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:FUNCTION_APP_NAME `
    --query "contains(keys(systemKeys), 'blobs_extension')" --output tsv --only-show-errors
  if ($there -ne 'true') { throw 'The webhook key is not there.' }
} "the host of $env:FUNCTION_APP_NAME has not started the blob trigger. Is the code deployed?"

# Event Grid asks the webhook for an answer before it accepts it, and the app may be asleep: once more, then.
Wait-Until {
  $env:EVENT_SUBSCRIPTION_ID = Invoke-Az deployment group create --resource-group $env:AZURE_RESOURCE_GROUP --name event-subscription `
    --template-file "$PSScriptRoot/../event-subscription.bicep" --only-show-errors `
    --query properties.outputs.subscriptionId.value --output tsv `
    --parameters "functionAppName=$env:FUNCTION_APP_NAME" "topicName=$env:EVENT_GRID_TOPIC" "accountName=$env:DATA_STORAGE_ACCOUNT" `
    "inboxContainer=$env:INBOX_CONTAINER" "deadLetterContainer=$env:DEAD_LETTER_CONTAINER"
} "Event Grid did not accept the webhook of $env:FUNCTION_APP_NAME." -Tries 3
Write-Host "event grid: $env:INBOX_CONTAINER of $env:DATA_STORAGE_ACCOUNT -> on_drop of $env:FUNCTION_APP_NAME"

if ($env:SKIP_DOCTOR) { exit 0 }
$root = Resolve-Path "$PSScriptRoot/../.."
$python = @($env:PYTHON, "$root/.venv/Scripts/python.exe", "$root/.venv/bin/python") | Where-Object { $_ -and (Test-Path $_) } | Select-Object -First 1
if (-not $python) { $python = 'python' }
# The app's settings without its identity, which works inside the app alone: here it is you who asks.
$identity = 'AZURE_CLIENT_ID', 'HR_STORAGE__credential', 'HR_STORAGE__clientId'
$settings = Invoke-Az functionapp config appsettings list --resource-group $env:AZURE_RESOURCE_GROUP --name $env:FUNCTION_APP_NAME `
  --output json --only-show-errors | Out-String | ConvertFrom-Json
foreach ($setting in $settings) {
  if ($setting.name -notmatch '^(AzureWebJobs|APPLICATIONINSIGHTS_|PYTHON_|WEBSITE_)' -and $identity -notcontains $setting.name) {
    Set-Item -Path "env:$($setting.name)" -Value $setting.value
  }
}
Set-Location $root
# The app examines itself at its first tick: where you may read what it found, it answers for what you may not do.
$wait = $env:DOCTOR_WAIT ? $env:DOCTOR_WAIT : '10m'
& $python -m connector doctor --wait $wait
exit $LASTEXITCODE
