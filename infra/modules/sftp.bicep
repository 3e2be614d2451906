metadata description = 'One SFTP user a feed, with SSH keys alone. The user gets no permission on any container: those reach the whole container. What it may do is in the access list of its folder, which infra/hooks/postprovision sets: create files there, and see nothing.'

@description('Name of the data account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Name of the inbox container.')
@minLength(3)
@maxLength(63)
param inboxContainer string

@description('Feeds with at least one key: name and sshKeys of each.')
@maxLength(90)
param feeds array

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource users 'Microsoft.Storage/storageAccounts/localUsers@2024-01-01' = [for feed in feeds: {
  parent: account
  // Names of local users have no hyphens.
  name: replace(feed.name, '-', '')
  properties: {
    homeDirectory: '${inboxContainer}/${feed.name}'
    allowAclAuthorization: true
    permissionScopes: []
    hasSharedKey: false
    hasSshKey: true
    hasSshPassword: false
    sshAuthorizedKeys: [for sshKey in feed.sshKeys: {
      description: feed.name
      key: sshKey
    }]
  }
}]
