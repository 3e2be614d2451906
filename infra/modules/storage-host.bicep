metadata description = 'The Functions host\'s own account: package, leases, keys. No HR data, no SFTP; the host owns it and nobody else has a role in it.'

@description('Name.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Redundancy.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param sku string

@description('Public access off.')
param privateNetworking bool

@description('Base URI of the vault with the customer-managed key; empty: Microsoft-managed keys.')
param vaultUri string

@description('Name of the customer-managed key.')
param keyName string

@description('Resource id of the identity with which storage reaches the key.')
param keyIdentityId string

@description('Object id of the identity that the host runs as.')
@minLength(1)
@maxLength(36)
param hostPrincipalId string

// What a host with identity-based AzureWebJobsStorage needs (Azure Functions, "Connecting to host storage with an identity").
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

var ownKey = !empty(vaultUri)

var ownKeyEncryption = {
  keySource: 'Microsoft.Keyvault'
  identity: {
    userAssignedIdentity: keyIdentityId
  }
  keyvaultproperties: {
    keyvaulturi: vaultUri
    keyname: keyName
  }
}
var platformEncryption = {
  keySource: 'Microsoft.Storage'
}
// The key types of queue and table can be set at creation only, and a customer-managed key may come later.
var encryptedServices = {
  services: {
    blob: {
      enabled: true
      keyType: 'Account'
    }
    queue: {
      enabled: true
      keyType: 'Account'
    }
    table: {
      enabled: true
      keyType: 'Account'
    }
  }
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  //checkov:skip=CKV_AZURE_35:Without a virtual network Flex Consumption has no fixed outgoing address to let in; privateNetworking denies. Every request needs an Entra token either way.
  //checkov:skip=CKV_AZURE_206:Package, leases and keys: all of it is made again by a deployment.
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  identity: ownKey ? {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${keyIdentityId}': {}
    }
  } : {
    type: 'None'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: privateNetworking ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
    }
    encryption: union(encryptedServices, ownKey ? ownKeyEncryption : platformEncryption)
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'app-package'
}

resource hostOwnsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, hostPrincipalId, storageBlobDataOwner)
  properties: {
    principalId: hostPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

resource hostWritesQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, hostPrincipalId, storageQueueDataContributor)
  properties: {
    principalId: hostPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
  }
}

resource hostWritesTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, hostPrincipalId, storageTableDataContributor)
  properties: {
    principalId: hostPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
  }
}

@description('Name of the account.')
output name string = account.name

@description('The container that holds the app\'s package.')
output packageContainer string = packages.name
