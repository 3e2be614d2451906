metadata description = 'The workbook: the connector now, a run from top to bottom, failures by cause, trends by feed. Its JSON is made of infra/queries by infra/workbook/build.py.'

@description('What the portal calls it.')
@minLength(1)
@maxLength(100)
param displayName string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Resource id of the workspace that is asked.')
@minLength(1)
param workspaceId string

@description('Name of Application Insights, whose records alone count.')
@minLength(1)
@maxLength(255)
param applicationInsightsName string

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

var template = loadTextContent('../workbook/workbook.json')

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // A workbook's name has to be a GUID; the same one at every deployment.
  name: guid(applicationInsights.id, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: applicationInsights.id
    version: 'Notebook/1.0'
    serializedData: replace(replace(template, '{Workspace}', workspaceId), '{ApplicationInsights}', applicationInsights.id)
  }
}

@description('Resource id of the workbook.')
output workbookId string = workbook.id
