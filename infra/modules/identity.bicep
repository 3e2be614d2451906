metadata description = 'A user-assigned managed identity: no secret, and its rights outlive the app that uses it.'

@description('Name.')
@minLength(3)
@maxLength(128)
param name string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

@description('Resource id.')
output id string = identity.id

@description('Client (application) id.')
output clientId string = identity.properties.clientId

@description('Object id in Entra: who role assignments are for.')
output principalId string = identity.properties.principalId
