#Requires -Version 7.2
# For the hooks to dot-source: the outputs of infra/main.bicep as environment variables, and az on the subscription that they are of.
# azd sets the outputs itself; otherwise the name of the deployment is the hook's first argument. With -Dry every call is shown and
# none is made.

$Root = (Resolve-Path "$PSScriptRoot/../..").Path
$FeedsFolder = if ($env:FEEDS_FOLDER) { $env:FEEDS_FOLDER } else { "$Root/infra/feeds" }
$script:SignedIn = $null

# What was done, which is nothing where calls are only shown.
function Write-Done([string] $Text) {
  if (-not $Dry) { Write-Host $Text }
}

# That of the connector, where it is set up.
function Get-Python {
  $python = @($env:PYTHON, "$Root/.venv/Scripts/python.exe", "$Root/.venv/bin/python") | Where-Object { $_ -and (Test-Path $_) } | Select-Object -First 1
  if ($python) { $python } else { 'python' }
}

# A token of GitHub's lives for five minutes, and az asks for each new token of Azure's by the one that it was given (Azure/login#372):
# so a fresh one is given to it before that.
function Connect-Ci {
  if (-not $env:ACTIONS_ID_TOKEN_REQUEST_URL -or -not $env:DEPLOY_CLIENT_ID) { return }
  if ($script:SignedIn -and ([DateTime]::UtcNow - $script:SignedIn).TotalMinutes -lt 3) { return }
  $answer = Invoke-RestMethod -Uri "$env:ACTIONS_ID_TOKEN_REQUEST_URL&audience=api://AzureADTokenExchange" `
    -Headers @{ Authorization = "bearer $env:ACTIONS_ID_TOKEN_REQUEST_TOKEN" }
  $said = & az login --service-principal --username $env:DEPLOY_CLIENT_ID --tenant $env:AZURE_TENANT_ID `
    --federated-token $answer.value --allow-no-subscriptions --output none 2>&1
  if ($LASTEXITCODE -ne 0) { throw "az login: $said" }
  $script:SignedIn = [DateTime]::UtcNow
}

# One call of az, on the deployment's subscription and not on the one that az is set to. What it says when it fails is what is thrown.
# On Linux and macOS PowerShell takes an argument with * ? [ for a pattern of files, where it is splatted: so none has one.
function Invoke-Az {
  $call = @($args) + @('--subscription', $env:AZURE_SUBSCRIPTION_ID)
  $patterns = @($call | Where-Object { $_ -match '[*?\[]' })
  if ($patterns) { throw "PowerShell would take $patterns for names of files." }
  if ($Dry) {
    Write-Host "az $($call -join ' ')"
    return
  }
  Connect-Ci
  $said = & az @call 2>&1
  $errors = @($said | Where-Object { $_ -is [System.Management.Automation.ErrorRecord] })
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..1] -join ' '): $($errors -join ' ')" }
  $said | Where-Object { $_ -isnot [System.Management.Automation.ErrorRecord] }
}

function Import-Output([string] $Deployment) {
  if (-not $Dry -and -not (Get-Command az -ErrorAction SilentlyContinue)) { throw 'az (the Azure CLI) is not installed.' }
  if ($Dry -and -not $env:AZURE_SUBSCRIPTION_ID) { $env:AZURE_SUBSCRIPTION_ID = 'AZURE_SUBSCRIPTION_ID' }
  if (-not $Deployment) { return }
  if (-not $env:AZURE_SUBSCRIPTION_ID) {
    $env:AZURE_SUBSCRIPTION_ID = & az account show --query id --output tsv
    if ($LASTEXITCODE -ne 0) { throw 'sign in: az login' }
  }
  try {
    $outputs = Invoke-Az deployment sub show --name $Deployment --query properties.outputs --output json | Out-String | ConvertFrom-Json
  }
  catch {
    throw "there is no deployment $Deployment in the subscription $env:AZURE_SUBSCRIPTION_ID, or it has not succeeded: $_"
  }
  if ($Dry) { return }
  # Resource Manager changes the case of some letters in output names, so all become upper case.
  foreach ($output in $outputs.PSObject.Properties) {
    Set-Item -Path "env:$($output.Name.ToUpperInvariant())" -Value "$($output.Value.value)"
  }
}

function Assert-Variable {
  foreach ($name in @('AZURE_SUBSCRIPTION_ID') + $args) {
    # What is not known stands for itself where calls are only shown.
    if ($Dry -and -not [Environment]::GetEnvironmentVariable($name)) { Set-Item -Path "env:$name" -Value $name }
    if (-not [Environment]::GetEnvironmentVariable($name)) {
      throw "$name is not set. Run this by azd, or give it the name of the deployment."
    }
  }
}

# A role that was just given takes up to some minutes to work (Azure RBAC, "Role assignment changes are not being detected").
function Wait-Until([scriptblock] $Step, [string] $Otherwise, [int] $Tries = 20, [int] $Seconds = 15) {
  foreach ($try in 1..$Tries) {
    try {
      & $Step
      return
    }
    catch {
      if ($try -eq $Tries) { throw "${Otherwise}: $_" }
      Write-Host "not yet ($try of $Tries): $_; again in $Seconds s"
      Start-Sleep -Seconds $Seconds
    }
  }
}

# The feed files that still have the endpoint of the example: they would send nobody anywhere, and are not deployed.
function Get-Example {
  Get-ChildItem -Path $FeedsFolder -File | Where-Object { $_.Extension -eq '.yaml' } |
    Where-Object { Select-String -Path $_.FullName -Pattern '^endpoint:.*/servicePrincipals/0{8}-' -Quiet }
}
