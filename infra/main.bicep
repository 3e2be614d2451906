targetScope = 'subscription'

metadata name = 'Entra inbound connector'
metadata description = 'HR files to Microsoft Entra ID by API-driven inbound provisioning: everything that runs in Azure.'

@description('The name of a feed: its folder in the inbox and its file in config/feeds. Lower-case letters, digits and hyphens, starting with a letter.')
@minLength(3)
@maxLength(40)
type feedName = string

@description('OpenSSH public keys, "ssh-ed25519 AAAA…" or "ssh-rsa AAAA…". Private keys never come here.')
@maxLength(10)
type publicKeys = string[]

@description('One system of record that drops files. Without keys it gets no SFTP user; its runs are cleaned up all the same.')
type feedType = {
  name: feedName
  sshKeys: publicKeys
}

@description('The environment, such as dev, test or prod: part of every name.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('The Azure region of all resources. Flex Consumption has to be offered there.')
@minLength(3)
@maxLength(40)
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('The resource group; it is created if it is not there.')
@minLength(1)
@maxLength(90)
param resourceGroupName string = 'rg-entrainbound-${environmentName}'

@description('Tags for every resource.')
param tags object = {}

@description('All feeds. A feed that is missing here works, but its runs are kept for ever.')
@maxLength(90)
param feeds feedType[] = []

@description('Redundancy of both storage accounts. Zone-redundant keeps working when a datacentre does not; take Standard_LRS where a region has no zones.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_ZRS'

@description('Days that a drop stays in the inbox. The provisioning log reaches back 30 days with a premium licence.')
@minValue(1)
@maxValue(365)
param inboxDays int = 30

@description('Days that a run outlives its drop. A drop in the inbox without a run is processed again, so this can never be zero: lifecycle rules may be a day or two late.')
@minValue(7)
@maxValue(365)
param runsExtraDays int = 14

@description('Days that summaries, outcomes and rejects are kept: they name people by externalId.')
@minValue(7)
@maxValue(3650)
param summariesDays int = 400

@description('Days that undeliverable events are kept.')
@minValue(1)
@maxValue(365)
param deadLettersDays int = 30

@description('Days in which a deleted blob, version or container can be brought back. Personal data lives on for as long.')
@minValue(1)
@maxValue(365)
param recoveryDays int = 7

@description('Most on-demand instances of each of the two functions. Some regions still refuse less than 40; leases make any number safe.')
@minValue(1)
@maxValue(40)
param maximumInstanceCount int = 2

@description('Memory of an instance in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Microsoft Graph of the tenant. Empty takes the one of the Azure cloud; US Government L5 (DoD) has to be named.')
@allowed([
  ''
  'https://graph.microsoft.com'
  'https://graph.microsoft.us'
  'https://dod-graph.microsoft.us'
  'https://microsoftgraph.chinacloudapi.cn'
])
param graphBaseUrl string = ''

@description('NCRONTAB schedule of on_tick, six fields.')
@minLength(11)
@maxLength(100)
param tickSchedule string = '0 */5 * * * *'

@description('Calls to bulkUpload in any window, as Graph counts them.')
@minLength(4)
@maxLength(20)
param sendLimit string = '40/5s'

@description('Calls to bulkUpload in a day, for the whole tenant: 2000/24h with P1 or P2, 6000/24h with Entra ID Governance.')
@minLength(4)
@maxLength(20)
param sendQuota string = '2000/24h'

@description('How long one invocation sends before it hands over; below functionTimeout of host.json.')
@minLength(2)
@maxLength(10)
param sendTimeLimit string = '25m'

@description('How long the provisioning log may stay silent about a person before a run is closed without an answer.')
@minLength(2)
@maxLength(10)
param settleDeadline string = '24h'

@description('Object id of whoever deploys: may write feed files to the config container, and nothing else. Empty: nobody may.')
@maxLength(36)
param deployerPrincipalId string = ''

@description('What deployerPrincipalId is.')
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param deployerPrincipalType string = 'User'

@description('Object id of the group that reads the summaries. Empty: no group.')
@maxLength(36)
param opsGroupId string = ''

@description('Switch: HR delivers by SFTP. Turns on the hierarchical namespace, which cannot be changed on an existing account.')
param sftp bool = false

@description('Switch: a virtual network with private endpoints; public access to storage goes off, or down to allowedAddresses.')
param privateNetworking bool = false

@description('Address space of the virtual network, /24 or larger. Private networking alone needs it.')
@minLength(9)
@maxLength(18)
param vnetAddressPrefix string = '10.80.0.0/24'

@description('Public IPv4 addresses and ranges (single addresses without /32) that may reach the data account and the deployment endpoint in spite of private networking: HR\'s SFTP clients, the build agent. Empty: nobody.')
@maxLength(200)
param allowedAddresses string[] = []

@description('Switch: resource id of an existing Log Analytics workspace. Empty creates one.')
@maxLength(500)
param workspaceId string = ''

@description('Days that a workspace of our own keeps telemetry.')
@minValue(30)
@maxValue(730)
param telemetryDays int = 90

@description('Mail addresses that are told of every alert. Empty: nobody, beyond the portal.')
@maxLength(10)
param alertEmails string[] = []

@description('Resource ids of action groups that are told of every alert: a pager, a ticket queue.')
@maxLength(4)
param alertActionGroupIds string[] = []

@description('Where docs/runbooks is published: alerts link to a page of it.')
@minLength(1)
@maxLength(500)
param runbooksUrl string = 'docs/runbooks'

@description('Log who read, wrote and deleted HR data (storage diagnostic logs to the workspace).')
param auditStorage bool = true

@description('Switch: resource id of an existing Key Vault (purge protection on, Azure RBAC) whose key encrypts both storage accounts. Empty: Microsoft-managed keys.')
@maxLength(500)
param keyVaultId string = ''

@description('Name of that key.')
@maxLength(127)
param keyName string = ''

var token = uniqueString(subscription().id, resourceGroupName, environmentName)
var allTags = union(tags, {
  'azd-env-name': environmentName
})

var containers = {
  inbox: 'inbox'
  config: 'config'
  runs: 'runs'
  summaries: 'summaries'
  deadLetters: 'deadletters'
}

// Entra's own national clouds (Graph documentation, "Microsoft Graph and Graph Explorer service root endpoints").
var graphByCloud = {
  AzureCloud: 'https://graph.microsoft.com'
  AzureUSGovernment: 'https://graph.microsoft.us'
  AzureChinaCloud: 'https://microsoftgraph.chinacloudapi.cn'
}
var graph = empty(graphBaseUrl) ? graphByCloud[environment().name] : graphBaseUrl

var ownKey = !empty(keyVaultId)
// A module's scope is evaluated even where its condition is false: it needs an id with as many segments.
var keyVaultIdOrNone = ownKey ? keyVaultId : '${subscription().id}/resourceGroups/${resourceGroupName}/providers/Microsoft.KeyVault/vaults/none'
var keyVaultSegments = split(keyVaultIdOrNone, '/')

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: resourceGroupName
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-entrainbound-${environmentName}'
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-entrainbound-${environmentName}'
    applicationInsightsName: 'appi-entrainbound-${environmentName}'
    location: location
    tags: allTags
    workspaceId: workspaceId
    retentionDays: telemetryDays
    publisherPrincipalId: identity.outputs.principalId
  }
}

module keyIdentity 'modules/identity.bicep' = if (ownKey) {
  name: 'key-identity'
  scope: group
  params: {
    name: 'id-entrainbound-${environmentName}-key'
    location: location
    tags: allTags
  }
}

module keyAccess 'modules/key-access.bicep' = if (ownKey) {
  name: 'key-access-${token}'
  scope: resourceGroup(keyVaultSegments[2], keyVaultSegments[4])
  params: {
    vaultName: keyVaultSegments[8]
    keyName: keyName
    principalId: ownKey ? keyIdentity!.outputs.principalId : ''
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  scope: group
  params: {
    name: 'entrainbound-${environmentName}'
    location: location
    tags: allTags
    addressPrefix: vnetAddressPrefix
    functionsPrefix: cidrSubnet(vnetAddressPrefix, 26, 0)
    endpointsPrefix: cidrSubnet(vnetAddressPrefix, 26, 1)
    sftp: sftp
  }
}

module dataStorage 'modules/storage-data.bicep' = {
  name: 'data-storage'
  scope: group
  params: {
    name: 'stdata${token}'
    location: location
    tags: allTags
    sku: storageSku
    containers: containers
    feedNames: map(feeds, feed => feed.name)
    inboxDays: inboxDays
    runsDays: inboxDays + runsExtraDays
    summariesDays: summariesDays
    deadLettersDays: deadLettersDays
    recoveryDays: recoveryDays
    sftp: sftp
    privateNetworking: privateNetworking
    allowedAddresses: allowedAddresses
    vaultUri: ownKey ? keyAccess!.outputs.vaultUri : ''
    keyName: keyName
    keyIdentityId: ownKey ? keyIdentity!.outputs.id : ''
    connectorPrincipalId: identity.outputs.principalId
    deployerPrincipalId: deployerPrincipalId
    deployerPrincipalType: deployerPrincipalType
    opsGroupId: opsGroupId
    auditWorkspaceId: auditStorage ? monitoring.outputs.workspaceId : ''
  }
}

module hostStorage 'modules/storage-host.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: 'sthost${token}'
    location: location
    tags: allTags
    sku: storageSku
    privateNetworking: privateNetworking
    vaultUri: ownKey ? keyAccess!.outputs.vaultUri : ''
    keyName: keyName
    keyIdentityId: ownKey ? keyIdentity!.outputs.id : ''
    hostPrincipalId: identity.outputs.principalId
  }
}

module dataEndpoints 'modules/private-endpoints.bicep' = if (privateNetworking) {
  name: 'data-endpoints'
  scope: group
  params: {
    accountName: dataStorage.outputs.name
    // dfs for the access lists of the feeds' folders alone
    services: sftp ? ['blob', 'queue', 'dfs'] : ['blob', 'queue']
    subnetId: privateNetworking ? network!.outputs.endpointsSubnetId : ''
    location: location
    tags: allTags
  }
}

module hostEndpoints 'modules/private-endpoints.bicep' = if (privateNetworking) {
  name: 'host-endpoints'
  scope: group
  params: {
    accountName: hostStorage.outputs.name
    services: ['blob', 'queue', 'table']
    subnetId: privateNetworking ? network!.outputs.endpointsSubnetId : ''
    location: location
    tags: allTags
  }
}

module sftpUsers 'modules/sftp.bicep' = if (sftp) {
  name: 'sftp-users'
  scope: group
  params: {
    accountName: dataStorage.outputs.name
    inboxContainer: containers.inbox
    feeds: filter(feeds, feed => !empty(feed.sshKeys))
  }
}

module events 'modules/events.bicep' = {
  name: 'events'
  scope: group
  params: {
    topicName: 'egst-entrainbound-${environmentName}'
    location: location
    tags: allTags
    accountName: dataStorage.outputs.name
    deadLetterContainer: containers.deadLetters
    workspaceId: monitoring.outputs.workspaceId
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    planName: 'asp-entrainbound-${environmentName}'
    name: 'func-entrainbound-${environmentName}-${token}'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    hostAccountName: hostStorage.outputs.name
    packageContainer: hostStorage.outputs.packageContainer
    dataAccountName: dataStorage.outputs.name
    containers: containers
    graphBaseUrl: graph
    tickSchedule: tickSchedule
    sendLimit: sendLimit
    sendQuota: sendQuota
    sendTimeLimit: sendTimeLimit
    settleDeadline: settleDeadline
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    privateNetworking: privateNetworking
    subnetId: privateNetworking ? network!.outputs.functionsSubnetId : ''
    allowedAddresses: allowedAddresses
  }
  // The app starts as soon as it is made, and needs its storage by name.
  dependsOn: [
    dataEndpoints
    hostEndpoints
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    namePrefix: 'entrainbound-${environmentName}'
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    emails: alertEmails
    actionGroupIds: alertActionGroupIds
    runbooksUrl: runbooksUrl
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    displayName: 'Entra inbound connector (${environmentName})'
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
    applicationInsightsName: monitoring.outputs.applicationInsightsName
  }
}

@description('Read by the hooks, and by azd as AZURE_RESOURCE_GROUP.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The function app.')
output FUNCTION_APP_NAME string = functionApp.outputs.name

@description('The account with inbox, config, runs and summaries.')
output DATA_STORAGE_ACCOUNT string = dataStorage.outputs.name

@description('Where HR drops files.')
output INBOX_CONTAINER string = containers.inbox

@description('Where feed files are uploaded.')
output CONFIG_CONTAINER string = containers.config

@description('Where undeliverable events go.')
output DEAD_LETTER_CONTAINER string = containers.deadLetters

@description('The Event Grid system topic of the data account.')
output EVENT_GRID_TOPIC string = events.outputs.topicName

@description('Who gets the Graph roles: infra/graph-roles or infra/grant-graph-roles.')
output CONNECTOR_PRINCIPAL_ID string = identity.outputs.principalId

@description('The feeds whose runs are cleaned up, separated by spaces.')
output FEEDS string = join(map(feeds, feed => feed.name), ' ')

@description('The feeds with an SFTP user, separated by spaces; empty without SFTP.')
output SFTP_FEEDS string = sftp ? join(map(filter(feeds, feed => !empty(feed.sshKeys)), feed => feed.name), ' ') : ''

@description('Application Insights, for alerts and the workbook.')
output APPLICATION_INSIGHTS_NAME string = monitoring.outputs.applicationInsightsName
