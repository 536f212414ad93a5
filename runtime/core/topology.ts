/**
 * The tasks of a job in this process, the channels between them and to tasks elsewhere, and the slots of its exactly-once sinks, made
 * from the physical plan and the assignment.
 */
import { bestDelivery } from '../../actors/connectors.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { SinkNode } from '../../actors/plan.ts'
import { assert } from '../kernel/errors.ts'
import type { SinkTarget, SlotName } from '../ports/publisher.ts'
import type { Tracing } from '../ports/telemetry.ts'
import type { Assignment } from './assignment.ts'
import { Channel, LoopBacklog, type ChannelLimits, type Outlet } from './channel.ts'
import { IncomingChannel, OutgoingChannel } from './exchange.ts'
import { channelKey, type ChannelName } from './frames.ts'
import { letterWriter, type DeadLetter } from './dead-letter.ts'
import { KeyedTask, type KeyedTaskSettings } from './keyed-task.ts'
import type { StoreReader } from './map-state.ts'
import { SlotMachine } from './slot-machine.ts'
import { SourceTask, type PartitionProgress } from './source-task.ts'
import type { Stage, StageGraph } from './stage-graph.ts'
import { TaskOutputs } from './task-outputs.ts'

export interface TopologySettings {
  readonly graph: StageGraph
  readonly lineage: number
  readonly generation: number
  readonly owner: string
  /** This process, and who runs what. */
  readonly worker: string
  readonly assignment: Assignment
  /** Newest decided epoch. */
  readonly epoch: number
  readonly definitions: ReadonlyMap<string, ActorDefinition>
  readonly schemas: ReadonlyMap<string, { readonly list: readonly StoredActorSchema[]; readonly index: number }>
  /** All partitions of each source; a task takes those of its slots. */
  readonly partitions: ReadonlyMap<string, readonly PartitionProgress[]>
  /** Sources that may have more of them later. Default: none. */
  readonly growing?: ReadonlySet<string>
  readonly limits: ReadonlyMap<string, SinkTarget>
  /** Floors of slots that have ever been written, by `slotKey`. */
  readonly floors: ReadonlyMap<string, { readonly epoch: number; readonly chunk: number }>
  /** Slots of stages that the job no longer has, with decided output that may not be published yet. */
  readonly leftSlots: readonly Pick<SlotName, 'sink' | 'stage' | 'slot'>[]
  /** Bytes of hot entries each task keeps; undefined = everything stays in memory. */
  readonly cacheBytes: number | undefined
  /** Records that may wait in a loop; see `LoopBacklog`. */
  readonly loopLimit?: number | undefined
  readonly channelLimits?: ChannelLimits | undefined
  /** An alignment that takes longer ends at once, and what is missing is recorded. Default: none does. */
  readonly alignmentLimitMs?: number | undefined
  /** Freeze events, and notice state that changes between handlers: for development and tests. */
  readonly check: boolean
  /** Point reads of the local store, when there is one. */
  readonly readerOf?: (stage: number) => StoreReader
  readonly onTap?: (handle: string, value: unknown) => void
  /** Absent: no spans. */
  readonly tracing?: Tracing
}

/** What tasks ask of the worker. */
export type TaskHooks = Pick<KeyedTaskSettings, 'now' | 'elapsed' | 'awaitHandler' | 'load' | 'page' | 'measure'>

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
  /** Channels to and from tasks of other workers. */
  readonly outgoing: ReadonlyMap<string, OutgoingChannel>
  readonly incoming: ReadonlyMap<string, IncomingChannel>
  readonly loops: readonly LoopEnds[]
  /** Within this worker, and from others. */
  readonly inlets: readonly Channel[]
}

/** What waits in one loop, and where. */
export interface LoopEnds {
  readonly backlog: LoopBacklog
  readonly channels: readonly Channel[]
}

/** The ends of every channel that this worker has: producers' by edge and task, consumers' by edge and task. */
interface Ends {
  readonly outlets: Map<string, Outlet>
  readonly inlets: Map<string, Channel>
  readonly outgoing: Map<string, OutgoingChannel>
  readonly incoming: Map<string, IncomingChannel>
  /** By loop. */
  readonly backlogs: readonly LoopBacklog[]
}

export function buildTopology(settings: TopologySettings, hooks: TaskHooks): Topology {
  const { graph, assignment, worker } = settings
  const { plan } = graph
  const ends = connect(settings)
  const deadLetters: SinkNode = {
    kind: 'sink',
    id: -1,
    name: deadLettersName,
    input: { node: -1, output: 'main' },
    sink: plan.deadLetters,
    delivery: bestDelivery[plan.deadLetters.connector]
  }
  const deadLetter = letterWriter(plan.job, deadLetters)
  const tasks: Task[] = []
  for (const stage of graph.stages)
    for (const [task, owner] of assignment.tasks.entries())
      if (owner === worker) tasks.push(buildTask(settings, hooks, stage, task, ends, deadLetter))
  const slots = new Map<string, SlotMachine>()
  for (const stage of graph.stages)
    for (const machine of slotsOf(settings, stage, deadLetters)) slots.set(slotKey(machine.name), machine)
  for (const left of settings.leftSlots)
    if (ownsSlot(settings, left.slot) && !slots.has(slotKey(left)))
      slots.set(slotKey(left), slotMachine(settings, left.sink, left.stage, left.slot))
  return {
    tasks,
    sources: tasks.filter(task => task instanceof SourceTask),
    keyed: tasks.filter(task => task instanceof KeyedTask),
    slots,
    outgoing: ends.outgoing,
    incoming: ends.incoming,
    inlets: [...ends.inlets.values()],
    loops: ends.backlogs.map(backlog => ({
      backlog,
      channels: [...ends.inlets.values()].filter(({ place }) => place?.loop === backlog)
    }))
  }
}

function connect({ graph, assignment, worker, loopLimit, channelLimits }: TopologySettings): Ends {
  const backlogs = graph.loops.map(() => new LoopBacklog(loopLimit))
  const ends: Ends = { outlets: new Map(), inlets: new Map(), outgoing: new Map(), incoming: new Map(), backlogs }
  for (const edge of graph.edges) {
    const loop = edge.cycle ? backlogs[graph.loops.findIndex(stages => stages.includes(edge.to))] : undefined
    const place = loop === undefined ? undefined : { loop, back: edge.back }
    for (const [from, source] of assignment.tasks.entries())
      for (const [to, target] of assignment.tasks.entries()) {
        const name: ChannelName = { edge: edge.index, from, to }
        const key = channelKey(name)
        if (source === worker && target === worker) {
          const channel = new Channel(place, channelLimits)
          ends.outlets.set(key, channel)
          ends.inlets.set(key, channel)
        } else if (source === worker) {
          const channel = new OutgoingChannel(name, target, place, channelLimits)
          ends.outlets.set(key, channel)
          ends.outgoing.set(key, channel)
        } else if (target === worker) {
          const channel = new IncomingChannel(name, source, place, channelLimits)
          ends.inlets.set(key, channel)
          ends.incoming.set(key, channel)
        }
      }
  }
  return ends
}

/** Ends of this worker, in the order of the tasks at the other side. */
function endsOf<End>(ends: ReadonlyMap<string, End>, names: readonly ChannelName[]): End[] {
  return names.map(name => {
    const end = ends.get(channelKey(name))
    assert(end !== undefined, `no channel ${channelKey(name)}`)
    return end
  })
}

function ownsSlot({ assignment, worker }: TopologySettings, slot: number): boolean {
  return assignment.tasks[assignment.slots[slot] as number] === worker
}

function buildTask(
  settings: TopologySettings,
  hooks: TaskHooks,
  stage: Stage,
  task: number,
  ends: Ends,
  deadLetter: (letter: DeadLetter, outputs: TaskOutputs) => void
): Task {
  const { graph } = settings
  const { job, keyGroups, slots } = graph.plan
  const owners = settings.assignment.slots
  const everyTask = settings.assignment.tasks.map((_, task) => task)
  const outgoing = new Map<number, readonly Outlet[]>()
  for (const edge of graph.edges)
    if (edge.from === stage.index) {
      const names = everyTask.map(to => ({ edge: edge.index, from: task, to }))
      outgoing.set(edge.index, endsOf(ends.outlets, names))
    }
  const { limits, onTap } = settings
  const outputs = new TaskOutputs({ stage, keyGroups, owners, channels: outgoing, limits, now: hooks.now, onTap })
  if (stage.kind === 'source') {
    const all = settings.partitions.get(stage.name) ?? []
    const partitions = all.filter(({ partition }) => owners[partition % slots] === task)
    const { onError: onStepError } = graph.plan
    return new SourceTask({
      stage,
      task,
      partitions,
      grows: settings.growing?.has(stage.name) === true,
      slots,
      outputs,
      now: hooks.now,
      elapsed: hooks.elapsed,
      onStepError,
      deadLetter,
      job,
      tracing: settings.tracing
    })
  }
  const incoming = stage.inputs.flatMap(edge =>
    endsOf(
      ends.inlets,
      everyTask.map(from => ({ edge: edge.index, from, to: task }))
    )
  )
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
    owned: slotNumbers(slots).filter(slot => owners[slot] === task),
    cacheBytes: settings.cacheBytes,
    quarantine: { stage: stage.name, limit: stage.node.quarantineLimit },
    check: settings.check,
    reader: settings.readerOf?.(stage.index),
    channels: incoming,
    alignmentLimitMs: settings.alignmentLimitMs ?? Infinity,
    outputs,
    deadLetter,
    tracing: settings.tracing
  })
}

function slotsOf(settings: TopologySettings, stage: Stage, deadLetters: SinkNode): SlotMachine[] {
  const { plan } = settings.graph
  const putsAside = stage.node.onError === 'dead-letter' || (stage.kind === 'source' && plan.onError === 'dead-letter')
  const writes = putsAside ? [...stage.sinks, deadLetters] : stage.sinks
  const machines: SlotMachine[] = []
  for (const sink of writes) {
    if (sink.delivery !== 'exactly-once') continue
    for (const slot of slotNumbers(plan.slots))
      if (ownsSlot(settings, slot)) machines.push(slotMachine(settings, sink.name, stage.name, slot))
  }
  return machines
}

function slotMachine(settings: TopologySettings, sink: string, stage: string, slot: number): SlotMachine {
  const { graph, lineage, epoch: head, generation, owner } = settings
  const name: SlotName = { job: graph.plan.job, lineage, sink, stage, slot }
  return new SlotMachine(name, { floor: settings.floors.get(slotKey(name)), head, generation, owner })
}

function slotNumbers(slots: number): number[] {
  return Array.from({ length: slots }, (_, slot) => slot)
}
