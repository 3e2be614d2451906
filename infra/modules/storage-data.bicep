metadata description = 'The account with HR data: its containers, how long each keeps what, and who may do what in each.'

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

@description('Container names by purpose: inbox, config, runs, summaries, deadLetters.')
param containers object

@description('Names of the feeds, whose runs are to be cleaned up.')
@maxLength(90)
param feedNames array

@description('Days that a drop stays in the inbox.')
@minValue(1)
@maxValue(365)
param inboxDays int

@description('Days that a run is kept, more than inboxDays: a drop in the inbox without a run would be processed again.')
@minValue(8)
@maxValue(730)
param runsDays int

@description('Days that summaries are kept.')
@minValue(7)
@maxValue(3650)
param summariesDays int

@description('Days that dead letters are kept.')
@minValue(1)
@maxValue(365)
param deadLettersDays int

@description('Days in which what is deleted can be brought back.')
@minValue(1)
@maxValue(365)
param recoveryDays int

@description('Hierarchical namespace and SFTP.')
param sftp bool

@description('Public access off, or down to allowedAddresses.')
param privateNetworking bool

@description('Public IPv4 addresses and ranges that are let in all the same.')
@maxLength(200)
param allowedAddresses array

@description('Base URI of the vault with the customer-managed key; empty: Microsoft-managed keys.')
param vaultUri string

@description('Name of the customer-managed key.')
param keyName string

@description('Resource id of the identity with which storage reaches the key.')
param keyIdentityId string

@description('Object id of the connector\'s identity.')
@minLength(1)
@maxLength(36)
param connectorPrincipalId string

@description('Object id of the deployer, who uploads feed files; empty: nobody.')
@maxLength(36)
param deployerPrincipalId string

@description('What the deployer is.')
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param deployerPrincipalType string

@description('Object id of the group that reads summaries; empty: nobody.')
@maxLength(36)
param opsGroupId string

@description('Resource id of the workspace for the audit log; empty: no audit log.')
param auditWorkspaceId string

// Azure built-in roles.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageBlobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'

var ownKey = !empty(vaultUri)
var openToSome = privateNetworking && !empty(allowedAddresses)

var ownKeyEncryption = {
  keySource: 'Microsoft.Keyvault'
  identity: {
    userAssignedIdentity: keyIdentityId
  }
  // No version: a rotated key is taken up by itself.
  keyvaultproperties: {
    keyvaulturi: vaultUri
    keyname: keyName
  }
}
var platformEncryption = {
  keySource: 'Microsoft.Storage'
}
// The queue's key type can be set at creation only, and a customer-managed key may come later.
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
  }
}

var lifecycleOfContainers = [
  {
    name: 'inbox'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob', 'appendBlob']
        prefixMatch: ['${containers.inbox}/']
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: inboxDays
          }
        }
      }
    }
  }
  {
    name: 'summaries'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob', 'appendBlob']
        prefixMatch: ['${containers.summaries}/']
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: summariesDays
          }
        }
      }
    }
  }
  {
    name: 'deadletters'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob', 'appendBlob']
        prefixMatch: ['${containers.deadLetters}/']
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: deadLettersDays
          }
        }
      }
    }
  }
]

// Only what lies under a run's id, which starts with the year: a feed's snapshot and runs/uplink.json are state that no age makes
// worthless. A rule takes ten prefixes at most, so each feed has one of its own.
var lifecycleOfRuns = [for feedName in feedNames: {
  name: 'runs-${feedName}'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob', 'appendBlob']
      prefixMatch: ['${containers.runs}/${feedName}/2']
    }
    actions: {
      baseBlob: {
        delete: {
          daysAfterModificationGreaterThan: runsDays
        }
      }
    }
  }
}]

var lifecycleOfVersions = [
  {
    name: 'versions'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: ['blockBlob', 'appendBlob']
      }
      actions: {
        version: {
          delete: {
            daysAfterCreationGreaterThan: recoveryDays
          }
        }
      }
    }
  }
]

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  //checkov:skip=CKV_AZURE_35:Without a virtual network Flex Consumption has no fixed outgoing address to let in; privateNetworking denies. Every request needs an Entra token either way.
  //checkov:skip=CKV_AZURE_206:A second region is the parameter storageSku. Zone redundancy is the default: HR can drop a file again, and personal data stays in one region unless somebody decides otherwise.
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
    isHnsEnabled: sftp
    isSftpEnabled: sftp
    isLocalUserEnabled: sftp
    publicNetworkAccess: privateNetworking && !openToSome ? 'Disabled' : 'Enabled'
    networkAcls: {
      // Event Grid writes its dead letters as a trusted service, by its own identity.
      bypass: 'AzureServices'
      defaultAction: privateNetworking ? 'Deny' : 'Allow'
      ipRules: [for address in (openToSome ? allowedAddresses : []): {
        action: 'Allow'
        value: address
      }]
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
      days: recoveryDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: recoveryDays
    }
    // The hierarchical namespace has no versions ("Blob Storage feature support").
    isVersioningEnabled: !sftp
  }
}

resource inbox 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containers.inbox
}

resource config 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containers.config
}

resource runs 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containers.runs
}

resource summaries 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containers.summaries
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containers.deadLetters
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat(lifecycleOfContainers, lifecycleOfRuns, sftp ? [] : lifecycleOfVersions)
    }
  }
  // Rules for versions are refused until versioning is on.
  dependsOn: [
    blobs
  ]
}

resource connectorReadsInbox 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: inbox
  name: guid(inbox.id, connectorPrincipalId, storageBlobDataReader)
  properties: {
    principalId: connectorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
  }
}

resource connectorReadsConfig 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: config
  name: guid(config.id, connectorPrincipalId, storageBlobDataReader)
  properties: {
    principalId: connectorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
  }
}

resource connectorWritesRuns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: runs
  name: guid(runs.id, connectorPrincipalId, storageBlobDataContributor)
  properties: {
    principalId: connectorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
  }
}

resource connectorWritesSummaries 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: summaries
  name: guid(summaries.id, connectorPrincipalId, storageBlobDataContributor)
  properties: {
    principalId: connectorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
  }
}

// The blob trigger puts what failed five times into the queue webjobs-blobtrigger-poison of the account that it watches, and makes
// the queue itself: no scope below the account would do. The account has no other queue.
resource connectorWritesQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, connectorPrincipalId, storageQueueDataContributor)
  properties: {
    principalId: connectorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
  }
}

resource opsReadSummaries 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(opsGroupId)) {
  scope: summaries
  name: guid(summaries.id, opsGroupId, storageBlobDataReader)
  properties: {
    principalId: opsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
  }
}

resource deployerWritesConfig 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerPrincipalId)) {
  scope: config
  name: guid(config.id, deployerPrincipalId, storageBlobDataContributor)
  properties: {
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
  }
}

// What the app found when it examined itself, so that the doctor can tell; no summary of people.
resource deployerReadsExamination 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerPrincipalId)) {
  scope: summaries
  name: guid(summaries.id, deployerPrincipalId, storageBlobDataReader)
  properties: {
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataReader)
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read\'} AND NOT SubOperationMatches{\'Blob.List\'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringEquals \'doctor.json\'))'
  }
}

// Only an owner may give a folder to an SFTP user (Data Lake Storage, "super-user").
resource deployerOwnsInbox 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (sftp && !empty(deployerPrincipalId)) {
  scope: inbox
  name: guid(inbox.id, deployerPrincipalId, storageBlobDataOwner)
  properties: {
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(auditWorkspaceId)) {
  scope: blobs
  name: 'audit'
  properties: {
    workspaceId: auditWorkspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

@description('Name of the account.')
output name string = account.name
