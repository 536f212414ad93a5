/** Everything that can be wrong with a plan before it runs; all of it at once. */
import { CodedError } from '../runtime/kernel/errors.ts'
import { defineActor } from './definition.ts'
import { leastIntervalMs } from './interval.ts'
import { checkInputsAndOutputs } from './io-checks.ts'
import { findLoops, stageWays } from './loops.ts'
import { storeKinds, type ActorNode, type Plan, type Port, type SourceNode } from './plan.ts'

const nameRule = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/

/** One sentence per problem; [] = the plan can run. */
export function checkPlan(plan: Plan): string[] {
  const problems: string[] = []
  checkNames(plan, problems)
  checkNumbers(plan, problems)
  checkInputsAndOutputs(plan, problems)
  const stages = plan.nodes.filter(node => node.kind === 'actor')
  for (const stage of stages) checkStage(stage, stages, problems)
  checkLoops(plan, problems)
  checkAligned(plan, problems)
  if (!plan.nodes.some(node => node.kind === 'source')) problems.push('the job has no source')
  return problems
}

function checkNames(plan: Plan, problems: string[]): void {
  const taken = new Map<string, string>()
  const check = (what: string, name: string, remedy = 'give one of them another name'): void => {
    if (!nameRule.test(name)) problems.push(`${what} "${name}": a name matches ${nameRule.source}`)
    const other = taken.get(name.toLowerCase())
    if (other !== undefined) problems.push(`${what} "${name}" has the name of ${other}; ${remedy}`)
    else taken.set(name.toLowerCase(), `${what} "${name}"`)
  }
  if (!nameRule.test(plan.job)) problems.push(`job "${plan.job}": a name matches ${nameRule.source}`)
  for (const node of plan.nodes) {
    if (node.kind === 'source') check('source', node.name)
    if (node.kind === 'actor')
      check('stage', node.name, node.builtIn === undefined ? undefined : 'give it a `name` in its options')
    if (node.kind === 'sink') check('sink', node.name)
  }
}

function checkNumbers(plan: Plan, problems: string[]): void {
  const whole = (what: string, n: number, most: number): void => {
    if (!Number.isSafeInteger(n) || n < 1 || n > most)
      problems.push(`${what} is ${n}; it must be a whole number from 1 to ${most}`)
  }
  whole('parallelism', plan.parallelism, 256)
  whole('keyGroups', plan.keyGroups, 32768)
  whole('slots', plan.slots, 256)
  if (plan.keyGroups % plan.slots !== 0)
    problems.push(`slots (${plan.slots}) must divide keyGroups (${plan.keyGroups})`)
  if (plan.parallelism > plan.slots)
    problems.push(`parallelism (${plan.parallelism}) is above slots (${plan.slots}), which bound it`)
  if (!storeKinds.includes(plan.store))
    problems.push(`store is ${JSON.stringify(plan.store)}; it is 'memory', 'level' or 'rocksdb'`)
  if (plan.latencyGoal === undefined && plan.intervalMs < leastIntervalMs)
    problems.push(`interval is ${plan.intervalMs} ms; it must be at least ${leastIntervalMs} ms`)
}

function checkStage(stage: ActorNode, stages: readonly ActorNode[], problems: string[]): void {
  try {
    defineActor(stage.actor, stage.name)
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    problems.push(error.message)
  }
  for (const [name, limit] of Object.entries(stage.quarantineLimit ?? {}))
    if (!Number.isSafeInteger(limit) || limit < 1)
      problems.push(`stage "${stage.name}": quarantineLimit.${name} is ${limit}; it must be a whole number from 1`)
  for (const target of stage.sends) {
    const found = stages.filter(other => other.actor === target).length
    if (found === 0)
      problems.push(
        `stage "${stage.name}" sends to ${target.name}, which is not a stage of the job; add j.actor(${target.name})`
      )
    if (found > 1)
      problems.push(
        `stage "${stage.name}" sends to ${target.name}, which is ${found} stages; an actor that is sent to stands once`
      )
  }
  if (stage.inputs.length === 0 && !stages.some(other => other.sends.includes(stage.actor)))
    problems.push(`stage "${stage.name}" is fed by nothing: no stream and no \`sends\``)
}

/** What comes from an actor has no partition. */
function checkAligned({ nodes }: Plan, problems: string[]): void {
  const behind = ({ node: id }: Port): (SourceNode | ActorNode)[] => {
    const node = nodes.find(each => each.id === id)
    if (node?.kind === 'source' || node?.kind === 'actor') return [node]
    if (node?.kind === 'union') return node.inputs.flatMap(behind)
    return node === undefined ? [] : behind(node.input)
  }
  for (const node of nodes) {
    if (node.kind !== 'keyBy' || node.aligned !== true) continue
    for (const from of behind(node.input)) {
      const { kind, name } = from
      if (kind === 'actor')
        problems.push(`an aligned keyBy stands behind stage "${name}"; only records of a source lie in partitions`)
      else if ('topic' in from.source && from.source.topic instanceof RegExp)
        problems.push(`an aligned keyBy stands behind source "${name}", which reads several topics; name one`)
    }
  }
}

/** A loop needs a way in: one that only feeds itself would never begin, nor end. */
function checkLoops(plan: Plan, problems: string[]): void {
  const { stages, ways } = stageWays(plan)
  for (const stage of findLoops(stages.length, ways).unreached)
    problems.push(`stage "${stages[stage]?.name}" is fed only by a loop that nothing leads into; feed it from a source`)
}
