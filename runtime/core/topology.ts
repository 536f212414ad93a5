/**
 * The tasks of a job in this process, the channels between them, and the slots of its exactly-once sinks, made from the physical
 * plan.
 */
import { bestDelivery } from '../../actors/connectors.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { SinkNode } from '../../actors/plan.ts'
import { assert } from '../kernel/errors.ts'
import type { SlotName } from '../ports/publisher.ts'
import { Channel } from './channel.ts'
import type { DeadLetter } from './handler-runner.ts'
import { KeyedTask, type KeyedTaskSettings } from './keyed-task.ts'
import type { StoreReader } from './map-state.ts'
import { SlotMachine } from './slot-machine.ts'
import { SourceTask, type PartitionProgress } from './source-task.ts'
import type { Stage, StageGraph } from './stage-graph.ts'
import { TaskOutputs, type SinkLimits } from './task-outputs.ts'

export interface TopologySettings {
  readonly graph: StageGraph
  readonly lineage: number
  readonly generation: number
  readonly owner: string
  /** Newest decided epoch. */
  readonly epoch: number
  readonly definitions: ReadonlyMap<string, ActorDefinition>
  readonly schemas: ReadonlyMap<string, { readonly list: readonly StoredActorSchema[]; readonly index: number }>
  readonly partitions: ReadonlyMap<string, readonly PartitionProgress[]>
  readonly limits: ReadonlyMap<string, SinkLimits>
  /** Floors of slots that have ever been written, by `slotKey`. */
  readonly floors: ReadonlyMap<string, { readonly epoch: number; readonly chunk: number }>
  /** Slots of stages that the job no longer has, with decided output that may not be published yet. */
  readonly leftSlots: readonly Pick<SlotName, 'sink' | 'stage' | 'slot'>[]
  /** Bytes of hot entries each task keeps; undefined = everything stays in memory. */
  readonly cacheBytes: number | undefined
  /** Freeze events, and notice state that changes between handlers: for development and tests. */
  readonly check: boolean
  /** Point reads of the local store, when there is one. */
  readonly readerOf?: (stage: number, task: number) => StoreReader
  readonly onTap?: (handle: string, value: unknown) => void
}

/** What tasks ask of the worker. */
export type TaskHooks = Pick<KeyedTaskSettings, 'now' | 'awaitHandler' | 'load' | 'page'>

export const deadLettersName = 'dead-letters'
export const slotKey = (slot: Pick<SlotName, 'sink' | 'stage' | 'slot'>): string =>
  `${slot.sink}/${slot.stage}/${slot.slot}`

export type Task = SourceTask | KeyedTask

export interface Topology {
  /** In the order of the stages. */
  readonly tasks: readonly Task[]
  readonly sources: readonly SourceTask[]
  readonly keyed: readonly KeyedTask[]
  readonly slots: ReadonlyMap<string, SlotMachine>
}

export function buildTopology(settings: TopologySettings, hooks: TaskHooks): Topology {
  const { graph } = settings
  const { plan } = graph
  const channels = new Map<number, Channel[][]>()
  for (const edge of graph.edges)
    channels.set(
      edge.index,
      Array.from({ length: plan.parallelism }, () => Array.from({ length: plan.parallelism }, () => new Channel()))
    )
  const deadLetters: SinkNode = {
    kind: 'sink',
    id: -1,
    name: deadLettersName,
    input: { node: -1, output: 'main' },
    sink: plan.deadLetters,
    delivery: bestDelivery[plan.deadLetters.connector]
  }
  const deadLetter = (letter: DeadLetter, outputs: TaskOutputs): void => outputs.write(deadLetters, letter, letter.time)
  const tasks: Task[] = []
  for (const stage of graph.stages)
    for (let task = 0; task < plan.parallelism; task++)
      tasks.push(buildTask(settings, hooks, stage, task, channels, deadLetter))
  const slots = new Map<string, SlotMachine>()
  for (const stage of graph.stages)
    for (const machine of slotsOf(settings, stage, deadLetters)) slots.set(slotKey(machine.name), machine)
  for (const left of settings.leftSlots)
    if (!slots.has(slotKey(left))) slots.set(slotKey(left), slotMachine(settings, left.sink, left.stage, left.slot))
  return {
    tasks,
    sources: tasks.filter(task => task instanceof SourceTask),
    keyed: tasks.filter(task => task instanceof KeyedTask),
    slots
  }
}

function buildTask(
  settings: TopologySettings,
  hooks: TaskHooks,
  stage: Stage,
  task: number,
  channels: ReadonlyMap<number, Channel[][]>,
  deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
): Task {
  const { graph } = settings
  const { job, keyGroups, slots, parallelism } = graph.plan
  const outgoing = new Map<number, readonly Channel[]>()
  for (const edge of graph.edges)
    if (edge.from === stage.index)
      outgoing.set(edge.index, (channels.get(edge.index) as Channel[][])[task] as Channel[])
  const { limits, onTap } = settings
  const outputs = new TaskOutputs({ stage, keyGroups, slots, parallelism, channels: outgoing, limits, onTap })
  if (stage.kind === 'source') {
    const all = settings.partitions.get(stage.name) ?? []
    const partitions = all.filter(partition => partition.partition % parallelism === task)
    const { onError: onStepError } = graph.plan
    return new SourceTask({ stage, task, partitions, slots, outputs, now: hooks.now, onStepError, deadLetter })
  }
  const incoming: Channel[] = []
  for (const edge of stage.inputs)
    for (const row of channels.get(edge.index) as Channel[][]) incoming.push(row[task] as Channel)
  const schema = settings.schemas.get(stage.name)
  const definition = settings.definitions.get(stage.name)
  assert(schema !== undefined && definition !== undefined, `no definition of stage ${stage.name}`)
  return new KeyedTask({
    ...hooks,
    job,
    stage,
    task,
    definition,
    schemas: schema.list,
    schemaIndex: schema.index,
    keyGroups,
    slots,
    parallelism,
    cacheBytes: settings.cacheBytes,
    check: settings.check,
    reader: settings.readerOf?.(stage.index, task),
    channels: incoming,
    outputs,
    deadLetter
  })
}

function slotsOf(settings: TopologySettings, stage: Stage, deadLetters: SinkNode): SlotMachine[] {
  const { plan } = settings.graph
  const putsAside = stage.node.onError === 'dead-letter' || (stage.kind === 'source' && plan.onError === 'dead-letter')
  const writes = putsAside ? [...stage.sinks, deadLetters] : stage.sinks
  const machines: SlotMachine[] = []
  for (const sink of writes) {
    if (sink.delivery !== 'exactly-once') continue
    for (let slot = 0; slot < plan.slots; slot++) machines.push(slotMachine(settings, sink.name, stage.name, slot))
  }
  return machines
}

function slotMachine(settings: TopologySettings, sink: string, stage: string, slot: number): SlotMachine {
  const { graph, lineage, epoch: head, generation, owner } = settings
  const name: SlotName = { job: graph.plan.job, lineage, sink, stage, slot }
  return new SlotMachine(name, { floor: settings.floors.get(slotKey(name)), head, generation, owner })
}
