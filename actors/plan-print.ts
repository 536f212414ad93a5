/** A plan as data, text and Mermaid, and what changed between two plans. Stable: the same plan gives the same bytes. */
import type { ActorClass } from './actor.ts'
import type { SinkSpec, SourceSpec } from './connectors.ts'
import { defineActor } from './definition.ts'
import { findLoops, stageWays } from './loops.ts'
import type { ActorNode, NodeId, Plan } from './plan.ts'

export interface PlanDescription {
  readonly job: string
  readonly parallelism: number
  readonly interval: string
  readonly keyGroups: number
  readonly slots: number
  readonly onError: string
  readonly deadLetters: string
  readonly sources: readonly {
    readonly name: string
    readonly from: string
    readonly outOfOrder: string
    readonly idleAfter: string
    readonly onError: string
    readonly pace?: string
  }[]
  readonly stages: readonly {
    readonly name: string
    readonly actor: string
    readonly version: number
    /** Of a window or another ready-made stage. */
    readonly describe?: string
    readonly onError: string
    readonly fields: readonly string[]
    readonly ttl?: string
  }[]
  readonly sinks: readonly { readonly name: string; readonly to: string; readonly delivery: string }[]
  readonly edges: readonly PlanEdge[]
  readonly warnings: readonly string[]
}
export interface PlanEdge {
  readonly from: string
  /** `main`, a side output, or `send`. */
  readonly output: string
  /** Stateless steps on the way. */
  readonly via: readonly string[]
  readonly to: string
  /** It closes a loop: it does not hold the watermark. */
  readonly back?: true
}

export function describePlan(plan: Plan): PlanDescription {
  const actors = plan.nodes.filter(node => node.kind === 'actor')
  return {
    job: plan.job,
    parallelism: plan.parallelism,
    interval: intervalText(plan),
    keyGroups: plan.keyGroups,
    slots: plan.slots,
    onError: plan.onError,
    deadLetters: targetText(plan.deadLetters),
    sources: plan.nodes.flatMap(node =>
      node.kind !== 'source'
        ? []
        : [
            {
              name: node.name,
              from: targetText(node.source),
              outOfOrder: durationText(node.outOfOrderMs),
              idleAfter: durationText(node.idleAfterMs),
              onError: node.onError,
              ...(node.paceMsPerSecond === undefined ? {} : { pace: `${durationText(node.paceMsPerSecond)} a second` })
            }
          ]
    ),
    stages: actors.map(describeStage),
    sinks: plan.nodes.flatMap(node =>
      node.kind === 'sink' ? [{ name: node.name, to: targetText(node.sink), delivery: node.delivery }] : []
    ),
    edges: edgesOf(plan, actors),
    warnings: plan.warnings
  }
}

function describeStage(node: ActorNode): PlanDescription['stages'][number] {
  const { name, schema, ttl } = defineActor(node.actor, node.name)
  return {
    name: node.name,
    actor: name,
    version: schema.version,
    ...(node.describe === '' ? {} : { describe: node.describe }),
    onError: node.onError,
    fields: node.builtIn === undefined ? schema.fields.map(field => field.name) : [],
    ...(ttl === undefined ? {} : { ttl: `${durationText(ttl.afterMs)} since ${ttl.since} (${ttl.clock} time)` })
  }
}

function edgesOf(plan: Plan, actors: readonly ActorNode[]): PlanEdge[] {
  const edges: PlanEdge[] = []
  const follow = (from: string, output: string, id: NodeId, port: string, via: readonly string[]): void => {
    for (const next of plan.nodes) {
      if (next.kind === 'source' || next.kind === 'actor') continue
      const inputs = next.kind === 'union' ? next.inputs : [next.input]
      if (!inputs.some(input => input.node === id && input.output === port)) continue
      if (next.kind === 'sink') edges.push({ from, output, via, to: next.name })
      else if (next.kind === 'keyBy') {
        for (const target of actors)
          if (target.inputs.includes(next.id))
            edges.push({
              from,
              output,
              via: [...via, next.aligned === true ? 'keyBy (aligned)' : 'keyBy'],
              to: target.name
            })
      } else follow(from, output, next.id, 'main', [...via, next.kind])
    }
  }
  for (const node of plan.nodes) {
    if (node.kind !== 'source' && node.kind !== 'actor') continue
    follow(node.name, 'main', node.id, 'main', [])
    if (node.kind !== 'actor') continue
    for (const output of Object.keys(node.actor.outputs ?? {})) follow(node.name, output, node.id, output, [])
    for (const target of node.sends)
      edges.push({ from: node.name, output: 'send', via: [], to: stageOf(actors, target) })
  }
  const goesBack = waysBack(plan)
  return edges.map(edge => (goesBack(edge.from, edge.to) ? { ...edge, back: true } : edge))
}

function waysBack(plan: Plan): (from: string, to: string) => boolean {
  const { stages, ways } = stageWays(plan)
  const { back } = findLoops(stages.length, ways)
  const names = ways.map(({ from, to }) => `${stages[from]?.name}/${stages[to]?.name}`)
  const found = new Set(names.filter((_, index) => back[index]))
  return (from, to) => found.has(`${from}/${to}`)
}

function stageOf(actors: readonly ActorNode[], actor: ActorClass): string {
  return actors.find(node => node.actor === actor)?.name ?? actor.name
}

/** For people: one line per source, stage and edge. */
export function planText(plan: PlanDescription): string {
  const lines = [
    `job ${plan.job} · parallelism ${plan.parallelism} · checkpoint ${plan.interval.startsWith('for') ? '' : 'every '}${plan.interval} · ${plan.keyGroups} key groups · ${plan.slots} slots`
  ]
  const sinks = new Map(plan.sinks.map(sink => [sink.name, sink]))
  const leaves = (name: string): void => {
    for (const { output, via, to, back } of plan.edges.filter(edge => edge.from === name)) {
      const sink = sinks.get(to)
      const target = sink === undefined ? `stage ${to}` : `sink ${to} (${sink.delivery}) ${sink.to}`
      const way = [output === 'send' ? 'sends' : output, ...via, target].join(' → ')
      lines.push(`  ${way}${back === true ? ' (back: closes a loop)' : ''}`)
    }
  }
  for (const source of plan.sources) {
    const pace = source.pace === undefined ? '' : ` · ${source.pace}`
    lines.push(
      `source ${source.name} · ${source.from} · out of order ${source.outOfOrder} · idle after ${source.idleAfter} · onError ${source.onError}${pace}`
    )
    leaves(source.name)
  }
  for (const stage of plan.stages) {
    const parts = [`stage ${stage.name}`, stage.describe ?? `actor ${stage.actor} version ${stage.version}`]
    if (stage.fields.length > 0) parts.push(`fields ${stage.fields.join(', ')}`)
    parts.push(`onError ${stage.onError}`)
    if (stage.ttl !== undefined) parts.push(`forgotten ${stage.ttl}`)
    lines.push(parts.join(' · '))
    leaves(stage.name)
  }
  lines.push(`dead letters → ${plan.deadLetters}`)
  for (const warning of plan.warnings) lines.push(`warning: ${warning}`)
  return lines.join('\n')
}

/** https://mermaid.js.org flowchart. */
export function planMermaid(plan: PlanDescription): string {
  const names = [...plan.sources, ...plan.stages, ...plan.sinks].map(each => each.name)
  const id = (name: string): string => `n${names.indexOf(name)}`
  const quoted = (text: string): string => `"${text.replaceAll('"', '#quot;')}"`
  return [
    'flowchart LR',
    ...plan.sources.map(source => `  ${id(source.name)}[/${quoted(`${source.name}<br>${source.from}`)}/]`),
    ...plan.stages.map(stage => `  ${id(stage.name)}(${quoted(stage.describe ?? stage.name)})`),
    ...plan.sinks.map(sink => `  ${id(sink.name)}[(${quoted(`${sink.name}<br>${sink.to}`)})]`),
    ...plan.edges.map(({ from, output, via, to, back }) => {
      const label = [...(output === 'main' ? [] : [output]), ...via, ...(back === true ? ['back'] : [])].join(', ')
      return `  ${id(from)} ${output === 'send' ? '-.->' : '-->'}${label === '' ? '' : `|${quoted(label)}|`} ${id(to)}`
    })
  ].join('\n')
}

/** One sentence per difference that matters to somebody who edits the job; [] = the same plan (functions cannot be compared). */
export function diffPlans(before: PlanDescription, after: PlanDescription): string[] {
  const changes: string[] = []
  for (const option of ['job', 'parallelism', 'interval', 'keyGroups', 'slots', 'onError', 'deadLetters'] as const)
    if (before[option] !== after[option]) changes.push(`${option}: ${before[option]} → ${after[option]}`)
  compare('source', before.sources, after.sources, changes)
  compare('stage', before.stages, after.stages, changes)
  compare('sink', before.sinks, after.sinks, changes)
  const edges = (plan: PlanDescription): string[] =>
    plan.edges.map(edge => [`${edge.from}.${edge.output}`, ...edge.via, edge.to].join(' → '))
  const [old, now] = [edges(before), edges(after)]
  for (const edge of old) if (!now.includes(edge)) changes.push(`flow removed: ${edge}`)
  for (const edge of now) if (!old.includes(edge)) changes.push(`flow added: ${edge}`)
  return changes
}

function compare<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  changes: string[]
): void {
  for (const old of before) if (!after.some(now => now.name === old.name)) changes.push(`${what} ${old.name} removed`)
  for (const now of after) {
    const old = before.find(each => each.name === now.name)
    if (old === undefined) changes.push(`${what} ${now.name} added`)
    else
      for (const property of new Set([...Object.keys(old), ...Object.keys(now)]) as Set<keyof T & string>)
        compareProperty(`${what} ${now.name}`, property, old[property], now[property], changes)
  }
}

function compareProperty(what: string, property: string, old: unknown, now: unknown, changes: string[]): void {
  if (property === 'fields') {
    const [before, after] = [old as readonly string[], now as readonly string[]]
    for (const field of before) if (!after.includes(field)) changes.push(`${what}: field ${field} removed`)
    for (const field of after) if (!before.includes(field)) changes.push(`${what}: field ${field} added`)
  } else if (old !== now) changes.push(`${what}: ${property} ${String(old ?? 'none')} → ${String(now ?? 'none')}`)
}

function targetText(spec: SourceSpec | SinkSpec): string {
  switch (spec.connector) {
    case 'lines':
    case 'csv':
      return `${spec.connector} ${spec.paths.join(', ')}`
    case 'generator':
      return `generator of ${spec.count} in ${spec.partitions} ${spec.partitions === 1 ? 'partition' : 'partitions'}`
    case 'log':
      return `topic ${spec.topic}`
    case 'kafka':
      return typeof spec.topic === 'string' ? `Kafka topic ${spec.topic}` : `Kafka topics ${String(spec.topic)}`
    case 'files':
      return `folder ${spec.folder}`
    case 'stdout':
      return 'standard output'
  }
}

function intervalText({ intervalMs, latencyGoal }: Plan): string {
  if (latencyGoal === undefined) return durationText(intervalMs)
  return `for a latency of ${durationText(latencyGoal.latencyMs)} (share ${latencyGoal.share})`
}

function durationText(ms: number): string {
  if (ms === Infinity) return 'never'
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000]
  ] as const)
    if (ms !== 0 && ms % size === 0) return `${ms / size}${unit}`
  return `${ms}ms`
}
