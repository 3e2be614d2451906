metadata description = 'The virtual network of the private networking switch: one subnet for the function app, one for private endpoints, and the DNS zones of storage.'

@description('Name without its abbreviation.')
@minLength(2)
@maxLength(50)
param name string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Address space.')
@minLength(9)
@maxLength(18)
param addressPrefix string

@description('Subnet of the function app: /27 or larger.')
@minLength(9)
@maxLength(18)
param functionsPrefix string

@description('Subnet of the private endpoints.')
@minLength(9)
@maxLength(18)
param endpointsPrefix string

@description('SFTP: the endpoints take port 22 too, and there is one for dfs.')
param sftp bool

var services = sftp ? ['blob', 'queue', 'table', 'dfs'] : ['blob', 'queue', 'table']

resource functionsRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-${name}-functions'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'deny-internet-inbound'
        properties: {
          description: 'Nothing on the internet calls into this subnet: Event Grid comes by the app\'s front end.'
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource endpointsRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: 'nsg-${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'allow-storage-from-network'
        properties: {
          description: 'HTTPS, and SFTP where it is on, from this network and what is peered with it.'
          access: 'Allow'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: endpointsPrefix
          destinationPortRanges: sftp ? ['443', '22'] : ['443']
        }
      }
      {
        name: 'deny-all-else'
        properties: {
          description: 'Nothing else.'
          access: 'Deny'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource virtualNetwork 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
  }
}

resource functionsSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' = {
  parent: virtualNetwork
  name: 'snet-functions'
  properties: {
    addressPrefix: functionsPrefix
    networkSecurityGroup: {
      id: functionsRules.id
    }
    delegations: [
      {
        // What Flex Consumption asks for; the provider Microsoft.App has to be registered.
        name: 'flex-consumption'
        properties: {
          serviceName: 'Microsoft.App/environments'
        }
      }
    ]
  }
}

resource endpointsSubnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' = {
  parent: virtualNetwork
  name: 'snet-endpoints'
  properties: {
    addressPrefix: endpointsPrefix
    networkSecurityGroup: {
      id: endpointsRules.id
    }
    privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
  }
  // Two subnets of one network cannot be changed at once.
  dependsOn: [
    functionsSubnet
  ]
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [for service in services: {
  name: 'privatelink.${service}.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (service, i) in services: {
  parent: zones[i]
  name: '${virtualNetwork.name}-${service}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: virtualNetwork.id
    }
  }
}]

@description('Resource id of the function app\'s subnet.')
output functionsSubnetId string = functionsSubnet.id

@description('Resource id of the private endpoints\' subnet.')
output endpointsSubnetId string = endpointsSubnet.id
