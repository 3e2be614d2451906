#Requires -Version 7.2
# Before azd packs it: .package, for the Python that runs in Azure (tools/package.py). Usage: prepackage.ps1
param([switch] $Dry)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
. "$PSScriptRoot/outputs.ps1"

$python = Get-Python
& $python "$Root/tools/package.py"
exit $LASTEXITCODE
