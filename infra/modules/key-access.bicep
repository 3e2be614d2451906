metadata description = 'Lets one identity wrap and unwrap with one key of an existing vault. Deployed to the vault\'s resource group.'

@description('Name of the vault.')
@minLength(3)
@maxLength(24)
param vaultName string

@description('Name of the key.')
@minLength(1)
@maxLength(127)
param keyName string

@description('Object id of the identity with which storage reaches the key.')
@maxLength(36)
param principalId string

var keyVaultCryptoServiceEncryptionUser = 'e147488a-f6f5-4113-8e2d-b22465e65bf6'

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource key 'Microsoft.KeyVault/vaults/keys@2023-07-01' existing = {
  parent: vault
  name: keyName
}

resource keyUser 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: key
  name: guid(key.id, principalId, keyVaultCryptoServiceEncryptionUser)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultCryptoServiceEncryptionUser)
  }
}

@description('Base URI of the vault, as storage wants it.')
output vaultUri string = vault.properties.vaultUri
