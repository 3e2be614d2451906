metadata description = 'Alerts on what the connector says of itself. One list: a feature that adds an alert adds an entry here, a query and a runbook.'

@description('Workload and environment: part of every name.')
@minLength(1)
@maxLength(100)
param namePrefix string

@description('Region.')
@minLength(3)
@maxLength(40)
param location string

@description('Tags.')
param tags object

@description('Resource id of the workspace that is asked.')
@minLength(1)
param workspaceId string

@description('Name of Application Insights, whose records alone count: others may use the same workspace.')
@minLength(1)
@maxLength(255)
param applicationInsightsName string

@description('Mail addresses that are told of every alert. Empty: nobody, beyond the portal.')
@maxLength(10)
param emails array = []

@description('Resource ids of action groups that are told too: a pager, a ticket queue.')
@maxLength(4)
param actionGroupIds array = []

@description('Where docs/runbooks is published; alerts link to <this>/<alert>.md.')
@minLength(1)
@maxLength(500)
param runbooksUrl string = 'docs/runbooks'

@description('Alert when a run is open for longer than so many hours. Runs wait for the provisioning log up to settleDeadline.')
@minValue(1)
@maxValue(720)
param runOpenHours int = 26

@description('Alert when a drop is later than its feed expects by more than so many hours.')
@minValue(0)
@maxValue(720)
param dropOverdueHours int = 2

@description('Alert when more than this percentage of a run\'s people failed, were refused or got no answer.')
@minValue(0)
@maxValue(99)
param failurePercent int = 5

@description('Alert when more than this percentage of the tenant\'s calls in 24 hours is used.')
@minValue(1)
@maxValue(99)
param quotaPercent int = 90

@description('Alert when more than so many invocations of a function failed within half an hour.')
@minValue(0)
@maxValue(100)
param failedInvocations int = 2

@description('Alert when no tick was completed for so many minutes. A tick that sends takes up to sendTimeLimit.')
@minValue(15)
@maxValue(1440)
param silentMinutes int = 60

// Each row of a query is an alert of its own, by the columns that are named here; its column Value is compared.
var byFeed = {
  name: 'Feed'
  operator: 'Include'
  values: [
    '*'
  ]
}
var byFunction = {
  name: 'Function'
  operator: 'Include'
  values: [
    '*'
  ]
}
var byJob = {
  name: 'Job'
  operator: 'Include'
  values: [
    '*'
  ]
}

var alerts = [
  {
    name: 'run-open-too-long'
    title: 'A run is open for too long'
    severity: 2
    query: loadTextContent('../queries/alert-run-open-too-long.kql')
    dimensions: [byFeed]
    threshold: runOpenHours
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'drop-overdue'
    title: 'A feed\'s file has not come'
    severity: 2
    query: loadTextContent('../queries/alert-drop-overdue.kql')
    dimensions: [byFeed]
    threshold: dropOverdueHours
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'failure-share'
    title: 'Too many people of a run failed'
    severity: 2
    query: loadTextContent('../queries/alert-failure-share.kql')
    dimensions: [byFeed]
    threshold: failurePercent
    window: 'P1D'
    frequency: 'PT15M'
  }
  {
    name: 'job-not-running'
    title: 'A provisioning job is paused or in quarantine'
    severity: 1
    query: loadTextContent('../queries/alert-job-not-running.kql')
    dimensions: [byFeed, byJob]
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'quota-nearly-used'
    title: 'The daily quota of calls is nearly used up'
    severity: 3
    query: loadTextContent('../queries/alert-quota-nearly-used.kql')
    dimensions: []
    threshold: quotaPercent
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'function-failing'
    title: 'A function fails again and again'
    severity: 1
    query: loadTextContent('../queries/alert-function-failing.kql')
    dimensions: [byFunction]
    threshold: failedInvocations
    window: 'PT30M'
    frequency: 'PT15M'
  }
  {
    name: 'not-ticking'
    title: 'The connector does not tick'
    severity: 1
    query: loadTextContent('../queries/alert-not-ticking.kql')
    dimensions: []
    threshold: silentMinutes
    window: 'P2D'
    frequency: 'PT15M'
  }
  {
    name: 'poison-messages'
    title: 'The blob trigger has given up on a file'
    severity: 3
    query: loadTextContent('../queries/alert-poison-messages.kql')
    dimensions: []
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
]

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: 'ag-${namePrefix}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'entrainbound'
    enabled: true
    emailReceivers: [for (email, i) in emails: {
      name: 'mail-${i}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for alert in alerts: {
  name: 'alert-${namePrefix}-${alert.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: alert.title
    description: 'What it means and what to do first: ${runbooksUrl}/${alert.name}.md'
    enabled: true
    severity: alert.severity
    scopes: [
      workspaceId
    ]
    evaluationFrequency: alert.frequency
    windowSize: alert.window
    criteria: {
      allOf: [
        {
          query: replace(alert.query, '{ApplicationInsights}', applicationInsights.id)
          metricMeasureColumn: 'Value'
          timeAggregation: 'Maximum'
          dimensions: alert.dimensions
          operator: 'GreaterThan'
          threshold: alert.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    // It is over when the next evaluation says so.
    autoMitigate: true
    // A new workspace has no record yet, and with it no column to check a query against; tests do.
    skipQueryValidation: true
    actions: {
      actionGroups: concat(actionGroupIds, empty(emails) ? [] : [mail.id])
      customProperties: {
        runbook: '${runbooksUrl}/${alert.name}.md'
      }
    }
  }
}]

@description('Names of the rules.')
output ruleNames array = [for (alert, i) in alerts: rules[i].name]
