metadata description = 'The Event Grid system topic of the data account. The subscription comes after the code: infra/event-subscription.bicep.'

@description('Name of the topic.')
@minLength(3)
@maxLength(50)
param topicName string

@description('Region: that of the account.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Name of the data account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Container for events that could not be delivered.')
@minLength(3)
@maxLength(63)
param deadLetterContainer string

@description('Resource id of the workspace for delivery failures.')
@minLength(1)
param workspaceId string

var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobs
  name: deadLetterContainer
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: topicName
  location: location
  tags: tags
  // Dead letters are written by identity: the account has no usable key.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: account.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource topicWritesDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: deadLetters
  name: guid(deadLetters.id, topic.id, storageBlobDataContributor)
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
  }
}

resource failures 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: topic
  name: 'delivery-failures'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
  }
}

@description('Name of the topic.')
output topicName string = topic.name
