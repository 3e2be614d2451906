@{
    externalId = 'WorkerID'
    userName   = 'Email'
    active     = { $_.'WorkerStatus' -eq 'Active' }
    name       = @{
        givenName  = 'FirstName'
        familyName = 'LastName'
    }
    emails     = @(
        @{
            type  = { 'work' }
            value = 'Email'
        }
    )
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User" = @{
        department = 'Department'
        manager    = @{
            value = 'ManagerID'
        }
    }
}
