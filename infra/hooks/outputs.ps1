#Requires -Version 7.2
# For the hooks to dot-source: the outputs of infra/main.bicep as environment variables. azd sets them itself; otherwise the name of
# the deployment is the hook's first argument.

function Import-Output([string] $Deployment) {
  if (-not (Get-Command az -ErrorAction SilentlyContinue)) { throw 'az (the Azure CLI) is not installed.' }
  if ($Deployment) {
    $outputs = & az deployment sub show --name $Deployment --query properties.outputs --output json | Out-String | ConvertFrom-Json
    if ($LASTEXITCODE -ne 0 -or -not $outputs) {
      throw "there is no deployment $Deployment in this subscription (az deployment sub list), or it has not succeeded."
    }
    # Resource Manager changes the case of some letters in output names, so all become upper case.
    foreach ($output in $outputs.PSObject.Properties) {
      Set-Item -Path "env:$($output.Name.ToUpperInvariant())" -Value "$($output.Value.value)"
    }
  }
}

function Assert-Variable {
  foreach ($name in $args) {
    if (-not [Environment]::GetEnvironmentVariable($name)) {
      throw "$name is not set. Run this by azd, or give it the name of the deployment."
    }
  }
}

function Invoke-Az {
  $answer = & az @args
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..2] -join ' ') failed (message above)." }
  $answer
}

# A role that was just given takes up to some minutes to work (Azure RBAC, "Role assignment changes are not being detected").
function Wait-Until([scriptblock] $Step, [string] $Otherwise, [int] $Tries = 20, [int] $Seconds = 15) {
  foreach ($try in 1..$Tries) {
    try {
      & $Step
      return
    }
    catch {
      if ($try -eq $Tries) { throw "$Otherwise $_" }
      Write-Host "not yet ($try of $Tries), again in $Seconds s"
      Start-Sleep -Seconds $Seconds
    }
  }
}
