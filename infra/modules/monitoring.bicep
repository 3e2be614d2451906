metadata description = 'Application Insights on a Log Analytics workspace, without local authentication. Who may publish is a role.'

@description('Name of the workspace, where one is created.')
@minLength(4)
@maxLength(63)
param workspaceName string

@description('Name of Application Insights.')
@minLength(1)
@maxLength(255)
param applicationInsightsName string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Resource id of an existing workspace; empty creates one.')
param workspaceId string

@description('Days that a workspace of our own keeps data.')
@minValue(30)
@maxValue(730)
param retentionDays int

@description('Object id of the identity that sends telemetry.')
@minLength(1)
@maxLength(36)
param publisherPrincipalId string

var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var createWorkspace = empty(workspaceId)

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (createWorkspace) {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: createWorkspace ? workspace.id : workspaceId
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
  }
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, publisherPrincipalId, monitoringMetricsPublisher)
  properties: {
    principalId: publisherPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

@description('The workspace that is used, created or brought.')
output workspaceId string = createWorkspace ? workspace.id : workspaceId

@description('Name of Application Insights.')
output applicationInsightsName string = applicationInsights.name
