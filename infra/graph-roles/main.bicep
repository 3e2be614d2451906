extension microsoftGraphV1

targetScope = 'resourceGroup'

metadata description = 'The Graph permissions of the connector\'s identity, for an administrator who may grant them (AppRoleAssignment.ReadWrite.All; Privileged Role Administrator). A deployment of its own, because whoever deploys the connector mostly may not.'

@description('Object id of the connector\'s identity: output CONNECTOR_PRINCIPAL_ID of infra/main.bicep.')
@minLength(36)
@maxLength(36)
param principalId string

@description('Also let the connector see whether the provisioning job is active, paused or quarantined.')
param readJobStatus bool = true

// Microsoft Graph's own application id is the same in every tenant.
resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

var needed = [
  'SynchronizationData-User.Upload'
  'ProvisioningLog.Read.All'
]
var roles = readJobStatus ? concat(needed, ['Synchronization.Read.All']) : needed

resource grants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [for role in roles: {
  principalId: principalId
  resourceId: graph.id
  appRoleId: filter(graph.appRoles, appRole => appRole.value == role)[0].id
}]

@description('The roles that the identity has now.')
output granted array = roles
