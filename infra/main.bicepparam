using './main.bicep'

// azd sets the AZURE_… variables; `az deployment sub create` takes the defaults or what the shell exports.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')
param location = readEnvironmentVariable('AZURE_LOCATION', 'westeurope')
param deployerPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param deployerPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
param opsGroupId = readEnvironmentVariable('OPS_GROUP_ID', '')

param sftp = bool(readEnvironmentVariable('ENABLE_SFTP', 'false'))
param privateNetworking = bool(readEnvironmentVariable('ENABLE_PRIVATE_NETWORKING', 'false'))
param workspaceId = readEnvironmentVariable('LOG_ANALYTICS_WORKSPACE_ID', '')
param keyVaultId = readEnvironmentVariable('KEY_VAULT_ID', '')
param keyName = readEnvironmentVariable('KEY_NAME', '')

// 6000/24h with Entra ID Governance.
param sendQuota = '2000/24h'

// Each feed of infra/feeds: its runs are cleaned up, and with keys and ENABLE_SFTP it gets an SFTP user.
param feeds = [
  {
    name: 'employees'
    sshKeys: []
  }
]
