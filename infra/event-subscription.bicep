targetScope = 'resourceGroup'

metadata description = 'From the inbox to on_drop: deployed by infra/hooks/postdeploy once the code is there, since the host makes its webhook key only then. The key goes from the app to Event Grid inside Azure Resource Manager; no machine sees it.'

@description('Name of the function app.')
@minLength(2)
@maxLength(60)
param functionAppName string

@description('Name of the Event Grid system topic.')
@minLength(3)
@maxLength(50)
param topicName string

@description('Name of the data account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Name of the inbox container.')
@minLength(3)
@maxLength(63)
param inboxContainer string = 'inbox'

@description('Name of the container for events that could not be delivered.')
@minLength(3)
@maxLength(63)
param deadLetterContainer string = 'deadletters'

@description('Name of the blob-triggered function.')
@minLength(1)
@maxLength(100)
param functionName string = 'on_drop'

resource app 'Microsoft.Web/sites@2024-04-01' existing = {
  name: functionAppName
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource drops 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'drops'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: 'https://${app.properties.defaultHostName}/runtime/webhooks/blobs?functionName=Host.Functions.${functionName}&code=${listKeys('${app.id}/host/default', '2024-04-01').systemKeys.blobs_extension}'
        maxEventsPerBatch: 1
        minimumTlsVersionAllowed: '1.2'
      }
    }
    filter: {
      subjectBeginsWith: '/blobServices/default/containers/${inboxContainer}/blobs/'
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      advancedFilters: [
        {
          // Complete files only: SFTP and Data Lake clients create an empty blob first, and an event of that name would fire on half a file.
          key: 'data.api'
          operatorType: 'StringIn'
          values: [
            'PutBlob'
            'PutBlockList'
            'CopyBlob'
            'FlushWithClose'
            'SftpCommit'
          ]
        }
      ]
    }
    // A day, the longest there is. What is lost even so is found by the next tick, which sweeps the inbox.
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: deadLetterContainer
        }
      }
    }
  }
}

@description('Resource id of the subscription.')
output subscriptionId string = drops.id
