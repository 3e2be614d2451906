metadata description = 'Private endpoints of one storage account, registered in the DNS zones that network.bicep made.'

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Which services: blob, queue, table, dfs.')
@minLength(1)
@maxLength(4)
param services array

@description('Resource id of the subnet for the endpoints.')
param subnetId string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' existing = [for service in services: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
}]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [for service in services: {
  name: 'pep-${accountName}-${service}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    customNetworkInterfaceName: 'nic-${accountName}-${service}'
    privateLinkServiceConnections: [
      {
        name: service
        properties: {
          privateLinkServiceId: account.id
          groupIds: [service]
        }
      }
    ]
  }
}]

resource registrations 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (service, i) in services: {
  parent: endpoints[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service
        properties: {
          privateDnsZoneId: zones[i].id
        }
      }
    ]
  }
}]
