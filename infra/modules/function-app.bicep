metadata description = 'The Flex Consumption plan and the function app. Its settings are those that connector/settings.py reads, the host\'s own and nothing else; a test compares.'

@description('Name of the plan.')
@minLength(1)
@maxLength(40)
param planName string

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param name string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Resource id of the identity that the app runs as.')
@minLength(1)
param identityId string

@description('Client id of that identity.')
@minLength(1)
@maxLength(36)
param identityClientId string

@description('Name of Application Insights.')
@minLength(1)
@maxLength(255)
param applicationInsightsName string

@description('Name of the host\'s own account.')
@minLength(3)
@maxLength(24)
param hostAccountName string

@description('Container of that account which holds the app\'s package.')
@minLength(3)
@maxLength(63)
param packageContainer string

@description('Name of the data account.')
@minLength(3)
@maxLength(24)
param dataAccountName string

@description('Container names by purpose: inbox, config, runs, summaries, deadLetters.')
param containers object

@description('Microsoft Graph: where the token goes, and nowhere else.')
@minLength(8)
@maxLength(100)
param graphBaseUrl string

@description('NCRONTAB schedule of on_tick.')
@minLength(11)
@maxLength(100)
param tickSchedule string

@description('Calls to bulkUpload in any window.')
@minLength(4)
@maxLength(20)
param sendLimit string

@description('Calls to bulkUpload in a day.')
@minLength(4)
@maxLength(20)
param sendQuota string

@description('How long one invocation sends.')
@minLength(2)
@maxLength(10)
param sendTimeLimit string

@description('How long the provisioning log may stay silent.')
@minLength(2)
@maxLength(10)
param settleDeadline string

@description('Most on-demand instances of each function.')
@minValue(1)
@maxValue(40)
param maximumInstanceCount int

@description('Memory of an instance in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int

@description('Joins the virtual network and closes the front end to all but Event Grid and allowedAddresses.')
param privateNetworking bool

@description('Resource id of the app\'s subnet; empty without private networking.')
param subnetId string

@description('Public IPv4 addresses and ranges that may deploy code in spite of private networking.')
@maxLength(200)
param allowedAddresses array

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource hostAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: hostAccountName
}

resource dataAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: dataAccountName
}

var eventGridRule = {
  name: 'event-grid'
  description: 'The blob trigger\'s webhook is all that is called from outside.'
  action: 'Allow'
  priority: 100
  tag: 'ServiceTag'
  ipAddress: 'AzureEventGrid'
}
var deployerRules = [for (address, i) in allowedAddresses: {
  name: 'deployer-${i}'
  action: 'Allow'
  priority: 200 + i
  ipAddress: contains(address, '/') ? address : '${address}/32'
}]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  //checkov:skip=CKV_AZURE_225:Zone redundancy needs always-ready instances, paid for day and night. A zone's failure delays a tick and loses nothing: all state is in zone-redundant storage.
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  //checkov:skip=CKV_AZURE_78:Flex Consumption refuses ftpsState (error 51021) and takes no files by FTP; publishing credentials are off.
  //checkov:skip=CKV_AZURE_222:Event Grid delivers to a public webhook; privateNetworking lets in the service tag AzureEventGrid and nobody else.
  //checkov:skip=CKV_AZURE_17:Event Grid presents no client certificate; it authenticates with the host's webhook key.
  //checkov:skip=CKV_AZURE_212:Flex Consumption scales to zero between drops; a timer wakes it.
  //checkov:skip=CKV_AZURE_213:There is no HTTP function to ask. on_tick is the heartbeat, and its absence is an alert.
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': 'connector'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: privateNetworking ? subnetId : null
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostAccount.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
      }
    }
    // Flex Consumption refuses some of what other plans take: error 51021, in newer regions alone. A test has the list.
    siteConfig: {
      http20Enabled: true
      minTlsVersion: '1.2'
      ipSecurityRestrictionsDefaultAction: privateNetworking ? 'Deny' : 'Allow'
      ipSecurityRestrictions: privateNetworking ? [eventGridRule] : []
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: privateNetworking ? 'Deny' : 'Allow'
      scmIpSecurityRestrictions: privateNetworking ? deployerRules : []
    }
  }
}

resource noBasicDeployment 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource noBasicFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  //checkov:skip=CKV_AZURE_13:Meant for the config resource 'web'; this one is 'appsettings'. No HTTP function, so nobody signs in.
  //checkov:skip=CKV_AZURE_63:Meant for the config resource 'web'; this one is 'appsettings'.
  //checkov:skip=CKV_AZURE_65:Meant for the config resource 'web'; this one is 'appsettings'.
  //checkov:skip=CKV_AZURE_66:Meant for the config resource 'web'; this one is 'appsettings'.
  //checkov:skip=CKV_AZURE_80:Meant for the config resource 'web' of a .NET app; this one is 'appsettings' of a Python app.
  //checkov:skip=CKV_AZURE_88:Meant for the config resource 'web'; Azure Files would need an account key.
  //checkov:skip=CKV_AZURE_222:Meant for the site, where it is answered.
  parent: app
  name: 'appsettings'
  properties: {
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__blobServiceUri: hostAccount.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: hostAccount.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: hostAccount.properties.primaryEndpoints.table
    HR_STORAGE__credential: 'managedidentity'
    HR_STORAGE__clientId: identityClientId
    HR_STORAGE__blobServiceUri: dataAccount.properties.primaryEndpoints.blob
    HR_STORAGE__queueServiceUri: dataAccount.properties.primaryEndpoints.queue
    AZURE_CLIENT_ID: identityClientId
    GRAPH_BASE_URL: graphBaseUrl
    INBOX_CONTAINER: containers.inbox
    CONFIG_CONTAINER: containers.config
    RUNS_CONTAINER: containers.runs
    SUMMARIES_CONTAINER: containers.summaries
    TICK_SCHEDULE: tickSchedule
    SEND_LIMIT: sendLimit
    SEND_QUOTA: sendQuota
    SEND_TIME_LIMIT: sendTimeLimit
    SETTLE_DEADLINE: settleDeadline
    APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  }
}

@description('Name of the app.')
output name string = app.name
