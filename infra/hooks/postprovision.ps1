#Requires -Version 7.2
# After the resources are there: feed files into the config container; with SFTP, each feed's folder to its user.
# Can be repeated. Usage: postprovision.ps1 [-Dry] [DEPLOYMENT]; azd calls it without.
param([string] $Deployment, [switch] $Dry)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
. "$PSScriptRoot/outputs.ps1"

Import-Output $Deployment
Assert-Variable AZURE_RESOURCE_GROUP DATA_STORAGE_ACCOUNT CONFIG_CONTAINER INBOX_CONTAINER

# Feed files, and the lookup tables beside them.
$uploaded = 0
$examples = @(Get-Example | ForEach-Object { $_.FullName })
foreach ($file in Get-ChildItem -Path $FeedsFolder -File | Where-Object { $_.Extension -in '.yaml', '.csv' }) {
  if ($examples -contains $file.FullName) {
    Write-Host "feed files: $($file.Name) is not uploaded: its endpoint is still the example's"
    continue
  }
  if ($file.Extension -eq '.yaml' -and "$env:FEEDS".Split(' ') -notcontains $file.BaseName) {
    Write-Warning "the feed $($file.BaseName) is not in the parameter 'feeds' (infra/main.bicepparam): its runs, with personal data, will be kept for ever."
  }
  Wait-Until {
    Invoke-Az storage blob upload --auth-mode login --account-name $env:DATA_STORAGE_ACCOUNT --container-name $env:CONFIG_CONTAINER `
      --name "feeds/$($file.Name)" --file $file.FullName --overwrite true --only-show-errors --output none
  } "cannot write to $env:DATA_STORAGE_ACCOUNT/$env:CONFIG_CONTAINER. Set AZURE_PRINCIPAL_ID to your object id and provision again; with private networking, run this from inside the network or add your address to 'allowedAddresses'"
  $uploaded++
}
Write-Done "feed files: $uploaded uploaded to $env:DATA_STORAGE_ACCOUNT/$env:CONFIG_CONTAINER/feeds"

$inbox = @('--auth-mode', 'login', '--account-name', $env:DATA_STORAGE_ACCOUNT, '--file-system', $env:INBOX_CONTAINER, '--only-show-errors')
if ($env:SFTP_FEEDS) {
  $account = "/subscriptions/$env:AZURE_SUBSCRIPTION_ID/resourceGroups/$env:AZURE_RESOURCE_GROUP/providers/Microsoft.Storage/storageAccounts/$env:DATA_STORAGE_ACCOUNT"
  # Users pass through the container's root and see nothing there.
  Wait-Until {
    Invoke-Az storage fs access set @inbox --path / --acl 'user::rwx,group::r-x,other::--x' --output none
  } "cannot set access lists in $env:DATA_STORAGE_ACCOUNT/$env:INBOX_CONTAINER"
  foreach ($feed in $env:SFTP_FEEDS.Split(' ')) {
    # The same name as in infra/modules/sftp.bicep.
    $user = $feed.Replace('-', '')
    $owner = Invoke-Az rest --method get --url "$account/localUsers/$user" --url-parameters api-version=2024-01-01 --query properties.userId --output tsv
    if (-not $owner -and -not $Dry) { throw "the SFTP user $user has no id; provision again with sftp on." }
    Wait-Until {
      if ((Invoke-Az storage fs directory exists @inbox --name $feed --query exists --output tsv) -ne 'true') {
        Invoke-Az storage fs directory create @inbox --name $feed --output none
      }
    } "cannot make the folder $env:INBOX_CONTAINER/$feed"
    # Create and pass, not list: what lies in a feed's folder is nobody's to see, its user included.
    Wait-Until {
      Invoke-Az storage fs access set @inbox --path $feed --owner "$owner" --acl 'user::-wx,group::---,other::---' --output none
    } "cannot give the folder $env:INBOX_CONTAINER/$feed to its user"
    Write-Done "sftp: $env:DATA_STORAGE_ACCOUNT.$user creates files in $env:INBOX_CONTAINER/$feed, and sees nothing"
  }
}
