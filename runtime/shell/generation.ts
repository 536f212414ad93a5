/**
 * Opens a worker's part of one generation: checks that the code can take the stored state, restores its tasks from the checkpoint, and
 * hands over a shell ready to start. The same for one process and for many, for production and the simulator; only the ports differ.
 */
import { defineActor } from '../../actors/definition.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { Plan, SourceNode } from '../../actors/plan.ts'
import { firstLineage } from '../../checkpoint/lineages.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { stageGroups } from '../../checkpoint/recovery.ts'
import type { StateStore } from '../../checkpoint/state-store.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { ChannelLimits } from '../core/channel.ts'
import { taskOfKeyGroup, type Assignment } from '../core/assignment.ts'
import type { KeyedTask } from '../core/keyed-task.ts'
import type { PartitionProgress } from '../core/source-task.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import { slotKey } from '../core/topology.ts'
import { Worker } from '../core/worker.ts'
import type { Restored } from '../core/worker-gauges.ts'
import { CodedError } from '../kernel/errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Files } from '../ports/files.ts'
import type { Appender, LogReader } from '../ports/log.ts'
import type { Publisher, SinkTarget } from '../ports/publisher.ts'
import type { Tracing } from '../ports/telemetry.ts'
import type { Head } from './checkpoint-writer.ts'
import { LocalState } from './local-state.ts'
import { sha256 } from './sha256.ts'
import { SpillFolder } from './spill-folder.ts'
import { TaskFiles, type FileSettings, type Probe } from './task-files.ts'
import { WorkerShell } from './worker-shell.ts'

export interface Ports {
  readonly clock: Clock
  readonly storage: CheckpointStorage
  /** The one that `storage` holds; default: the first. */
  readonly lineage?: number
  readonly reader: (source: SourceNode) => LogReader
  /** By sink name; `dead-letters` included. Sinks that are not transactional are absent. */
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly appenders: ReadonlyMap<string, Appender>
  readonly nonce: () => string
  readonly probe?: Probe
  /** A clock for what is counted only; absent: nothing is measured. */
  readonly measure?: () => number
  readonly onTap?: (handle: string, value: unknown) => void
  /** Spans; absent: none. */
  readonly tracing?: Tracing
  /** The local store, with what it held when it was closed, or empty; asked when the plan bounds what stays in memory. Waits until the one before is closed. */
  readonly store: () => Promise<StateStore>
  /** Local space for what loops hold beyond memory; absent: they hold it in memory. */
  readonly spill?: { readonly files: Files; readonly folder: string }
  /** Freeze events, and notice state that changes between handlers. */
  readonly check?: boolean
  /** Stages whose stored state is given up, though the job has no such stage any more. */
  readonly dropState?: readonly string[]
  readonly limits?: {
    readonly pendingLimitBytes?: number
    readonly checkpointTimeoutMs?: number
    readonly alignmentLimitMs?: number
    readonly encodeSlice?: number
    /** Events that a task handles before the event loop gets a turn. */
    readonly sliceEvents?: number
    readonly loopLimit?: number
    readonly channels?: ChannelLimits
  }
  /** Hashes files; default: by the platform, off the event loop. */
  readonly sha256?: (bytes: Uint8Array) => Promise<string>
}

/** What the code and the stored state say about each stage. */
export interface Prepared {
  readonly definitions: ReadonlyMap<string, ActorDefinition>
  readonly schemas: ReadonlyMap<string, { readonly list: readonly StoredActorSchema[]; readonly index: number }>
}

export interface GenerationSettings {
  readonly graph: StageGraph
  readonly ports: Ports
  readonly prepared: Prepared
  /** The checkpoint it begins from. */
  readonly head: Head | undefined
  /** The manifest that was decided for an epoch up to the head, undefined when none is known. */
  readonly decided: (epoch: number) => Promise<string | undefined>
  readonly lineage: number
  readonly generation: number
  /** This process. */
  readonly worker: string
  readonly assignment: Assignment
  /** Whether there is a newer one: nothing more is fetched for this one then. Default: never. */
  readonly isOver?: () => boolean
  /** Takes a frame to another worker. */
  readonly send?: (peer: string, frame: Uint8Array) => void
}

export interface Generation {
  readonly worker: Worker
  readonly shell: WorkerShell
  /** Where every partition of each source begins. */
  readonly partitions: ReadonlyMap<string, readonly PartitionProgress[]>
  readonly restored: Restored
}

/** Throws FOREIGN_CHECKPOINT when the stored one is another. */
export function lineageOf({ lineage = firstLineage }: Pick<Ports, 'lineage'>, manifest: Manifest | undefined): number {
  if (manifest !== undefined && manifest.lineage !== lineage)
    throw new CodedError('FOREIGN_CHECKPOINT', `the checkpoint is of lineage ${manifest.lineage}, not ${lineage}`)
  return lineage
}

/** More would be lost time after a crash and memory now; half of it asks for a checkpoint at once. */
const defaultPendingLimitBytes = 128 * 1024 * 1024

/** Throws STATE_INCOMPATIBLE naming everything that does not fit. */
export function prepare(graph: StageGraph, manifest: Manifest | undefined, dropState: readonly string[]): Prepared {
  const prepared = define(graph, manifest)
  if (manifest !== undefined) refuseChanges(graph.plan, graph, manifest, dropState)
  return prepared
}

export async function openGeneration(settings: GenerationSettings): Promise<Generation> {
  const beganAt = settings.ports.clock.elapsed()
  const local = settings.graph.plan.cacheBytes === undefined ? undefined : await openLocal(settings)
  try {
    return await build(settings, local, beganAt)
  } catch (error) {
    await local?.store.close()
    throw error
  }
}

async function build(
  settings: GenerationSettings,
  local: LocalState | undefined,
  beganAt: number
): Promise<Generation> {
  const { graph, ports, prepared, head, lineage, generation, assignment } = settings
  const { plan } = graph
  const manifest = head?.manifest
  const readers = new Map<number, LogReader>()
  const partitions = new Map<string, readonly PartitionProgress[]>()
  const growing = new Set<string>()
  for (const stage of graph.stages) {
    if (stage.kind !== 'source') continue
    const reader = ports.reader(stage.node)
    readers.set(stage.index, reader)
    partitions.set(stage.name, await positions(stage.node, reader, manifest))
    if (reader.lookAgainMs !== undefined) growing.add(stage.name)
  }
  const limits = new Map<string, SinkTarget>()
  for (const [sink, publisher] of ports.publishers) limits.set(sink, await publisher.describe())

  const worker = new Worker({
    graph,
    lineage,
    generation,
    owner: ports.nonce(),
    worker: settings.worker,
    assignment,
    epoch: manifest?.epoch ?? 0,
    leftSlots: leftSlots(manifest, ports.publishers),
    cacheBytes: cachePerTask(graph, assignment, settings.worker),
    check: ports.check === true,
    ...(local === undefined ? {} : { readerOf: (stage: number) => local.reader(stage) }),
    ...prepared,
    partitions,
    growing,
    limits,
    floors: new Map(manifest?.ledgers.map(ledger => [slotKey(ledger), { epoch: ledger.epoch, chunk: ledger.chunk }])),
    pendingLimitBytes: pendingLimit(plan, ports),
    appendsAtOnce: new Map([...ports.appenders].map(([sink, { atOnce = 1 }]) => [sink, atOnce])),
    spills: ports.spill !== undefined,
    alignmentLimitMs: ports.limits?.alignmentLimitMs,
    encodeSlice: ports.limits?.encodeSlice,
    loopLimit: ports.limits?.loopLimit,
    channelLimits: ports.limits?.channels,
    ...(ports.measure === undefined ? {} : { measure: ports.measure }),
    ...(ports.onTap === undefined ? {} : { onTap: ports.onTap }),
    ...(ports.tracing === undefined ? {} : { tracing: ports.tracing })
  })
  const fetched = manifest === undefined ? nothing : await restore(worker, graph, manifest, ports.storage, local)
  const { clock, storage, publishers, appenders } = ports
  const restored: Restored = { ...(local?.report ?? fetched), durationMs: clock.elapsed() - beganAt }
  const shell = new WorkerShell({
    worker,
    files: new TaskFiles(fileSettings(settings)),
    clock,
    storage,
    readers,
    partitionsOf: stage =>
      new Set(partitions.get(graph.stages[stage]?.name ?? '')?.map(({ partition }) => partition) ?? []),
    sourceStages: new Map([...graph.stages].flatMap(each => (each.kind === 'source' ? [[each.name, each.index]] : []))),
    publishers,
    appenders,
    unpublished: {
      epoch: manifest?.epoch ?? 0,
      hash: head?.hash ?? '',
      sources: manifest?.sources ?? [],
      outboxes: manifest?.outboxes ?? []
    },
    ...(local === undefined ? {} : { local }),
    restored,
    ...(ports.spill === undefined ? {} : { spill: new SpillFolder(ports.spill.files, ports.spill.folder) }),
    ...(ports.limits?.sliceEvents === undefined ? {} : { sliceEvents: ports.limits.sliceEvents }),
    ...(ports.probe === undefined ? {} : { probe: ports.probe }),
    ...(settings.send === undefined ? {} : { send: settings.send })
  })
  return { worker, shell, partitions, restored }
}

export function fileSettings({
  graph,
  ports,
  lineage,
  generation
}: Pick<GenerationSettings, 'graph' | 'ports' | 'lineage' | 'generation'>): FileSettings {
  const { storage, nonce, probe, measure } = ports
  return {
    job: graph.plan.job,
    lineage,
    generation,
    storage,
    nonce,
    sha256: ports.sha256 ?? sha256,
    ...(probe === undefined ? {} : { probe }),
    ...(measure === undefined ? {} : { measure })
  }
}

export function pendingLimit(plan: Plan, { limits }: Ports): number {
  if (limits?.pendingLimitBytes !== undefined) return limits.pendingLimitBytes
  return plan.cacheBytes === undefined ? defaultPendingLimitBytes : pendingFor(plan.cacheBytes)
}

/** Where the partitions of every source stand, for checkpoint 0. */
export async function startPositions(
  graph: StageGraph,
  reader: Ports['reader']
): Promise<{ readonly name: string; readonly partitions: readonly PartitionProgress[] }[]> {
  const found = []
  for (const stage of graph.stages) {
    if (stage.kind !== 'source') continue
    const opened = reader(stage.node)
    found.push({ name: stage.name, partitions: await positions(stage.node, opened, undefined) })
    await opened.close()
  }
  return found
}

function define(
  graph: StageGraph,
  manifest: Manifest | undefined
): {
  readonly definitions: ReadonlyMap<string, ActorDefinition>
  readonly schemas: ReadonlyMap<string, { readonly list: readonly StoredActorSchema[]; readonly index: number }>
} {
  const definitions = new Map<string, ActorDefinition>()
  const schemas = new Map<string, { list: StoredActorSchema[]; index: number }>()
  const problems: string[] = []
  for (const stage of graph.stages) {
    if (stage.kind !== 'keyed') continue
    const definition = defineActor(stage.node.actor, stage.name)
    const list = [...((manifest?.stages.find(each => each.name === stage.name)?.schemas ?? []) as StoredActorSchema[])]
    for (const stored of list) problems.push(...definition.accepts(stored))
    const text = JSON.stringify(definition.schema)
    let index = list.findIndex(stored => JSON.stringify(stored) === text)
    if (index < 0) index = list.push(definition.schema) - 1
    definitions.set(stage.name, definition)
    schemas.set(stage.name, { list, index })
  }
  if (problems.length > 0)
    throw new CodedError(
      'STATE_INCOMPATIBLE',
      `the stored state does not fit the code:\n  - ${[...new Set(problems)].join('\n  - ')}`
    )
  return { definitions, schemas }
}

function refuseChanges(plan: Plan, graph: StageGraph, manifest: Manifest, dropState: readonly string[]): void {
  const problems: string[] = []
  if (plan.keyGroups !== manifest.keyGroups)
    problems.push(`keyGroups was ${manifest.keyGroups} and is ${plan.keyGroups}; it is fixed for the life of the state`)
  if (plan.slots !== manifest.slots)
    problems.push(`slots was ${manifest.slots} and is ${plan.slots}; it is fixed for the life of the state`)
  for (const stage of manifest.stages)
    if (
      stage.files.length > 0 &&
      !dropState.includes(stage.name) &&
      !graph.stages.some(each => each.kind === 'keyed' && each.name === stage.name)
    )
      problems.push(
        `stage "${stage.name}" has stored state, but the job has no such stage; give it up with --drop-state ${stage.name}`
      )
  for (const name of dropState)
    if (graph.stages.some(stage => stage.name === name))
      problems.push(`stage "${name}" is in the job: its state cannot be dropped; start over with --fresh`)
  if (problems.length > 0)
    throw new CodedError('STATE_INCOMPATIBLE', `the job has changed:\n  - ${problems.join('\n  - ')}`)
}

/** Where every partition of a source begins. Throws INPUT_REGRESSED. */
export async function positions(
  node: SourceNode,
  reader: LogReader,
  manifest: Manifest | undefined
): Promise<PartitionProgress[]> {
  const known = manifest?.sources.find(each => each.name === node.name)?.partitions ?? []
  const found = new Map((await reader.partitions()).map(({ name, number }, index) => [number ?? index, name]))
  const missing = known.filter(each => found.get(each.partition) !== each.name).map(({ name }) => name)
  if (missing.length > 0 && (await reader.gone?.(missing)) !== true)
    throw new CodedError(
      'INPUT_REGRESSED',
      `source "${node.name}": partition "${missing[0]}" of the checkpoint is not there any more`
    )
  const from = 'from' in node.source ? node.source.from : 'earliest'
  const progress: PartitionProgress[] = []
  for (const [partition, name] of found)
    progress.push(
      known.find(each => each.partition === partition && each.name === name) ?? {
        partition,
        name,
        position: await reader.start(partition, known.length > 0 ? 'earliest' : from),
        greatestTime: null,
        watermark: null,
        finished: false
      }
    )
  return progress
}

/** Whatever has unpublished output is published, whether or not its stage is still there. */
function leftSlots(
  manifest: Manifest | undefined,
  publishers: ReadonlyMap<string, Publisher>
): { sink: string; stage: string; slot: number }[] {
  const slots = manifest?.outboxes.flatMap(({ stage, sections }) =>
    sections.map(({ sink, slot }) => ({ sink, stage, slot }))
  )
  return (slots ?? []).filter(({ sink }) => publishers.has(sink))
}

function cachePerTask({ stages, plan }: StageGraph, assignment: Assignment, worker: string): number | undefined {
  const own = assignment.tasks.filter(each => each === worker).length
  const tasks = stages.filter(stage => stage.kind === 'keyed').length * own
  return plan.cacheBytes === undefined ? undefined : plan.cacheBytes / Math.max(1, tasks)
}

/** What waits for a checkpoint may take as much again as the cache, within reason. */
function pendingFor(cacheBytes: number): number {
  return Math.min(128 * 1024 * 1024, Math.max(16 * 1024 * 1024, cacheBytes))
}

/** The local store, brought to the checkpoint. Closed again when that fails. */
async function openLocal(settings: GenerationSettings): Promise<LocalState> {
  const { graph, ports, head, lineage, assignment, decided, isOver = () => false } = settings
  const { job, keyGroups, slots } = graph.plan
  const own = assignment.slots.flatMap((task, slot) => (assignment.tasks[task] === settings.worker ? [slot] : []))
  const stages = graph.stages.flatMap(({ kind, index, name }) =>
    kind === 'keyed' ? [{ index, name, slots: own }] : []
  )
  const store = await ports.store()
  try {
    const origin = { job, lineage, keyGroups, slots }
    return await LocalState.open({ store, origin, stages, head, storage: ports.storage, decided, isOver })
  } catch (error) {
    await store.close()
    throw error
  }
}

type Brought = Omit<Restored, 'durationMs'>
const nothing: Brought = {
  kept: 0,
  caughtUp: 0,
  fetched: 0,
  refused: [],
  changes: { records: 0, bytes: 0 },
  whole: { records: 0, bytes: 0 }
}

/** Brings every record of the checkpoint to its task; when there is a store, those that are not in it. */
async function restore(
  worker: Worker,
  graph: StageGraph,
  manifest: Manifest,
  storage: CheckpointStorage,
  local: LocalState | undefined
): Promise<Brought> {
  const { slots } = worker.assignment
  let [fetched, records, bytes] = [0, 0, 0]
  for (const stage of graph.stages) {
    const stored = stage.kind === 'keyed' ? manifest.stages.find(each => each.name === stage.name) : undefined
    if (stored === undefined) continue
    const tasks = worker.keyedTasks(stage.index)
    if (local === undefined) {
      const byTask = new Map(tasks.map(each => [each.settings.task, each]))
      const taskOf = (keyGroup: number): KeyedTask | undefined => byTask.get(taskOfKeyGroup(keyGroup, slots))
      for (const { settings } of tasks) fetched += settings.owned.length
      for await (const group of stageGroups(storage, manifest, stored, group => taskOf(group) !== undefined))
        for (const { keyGroup, key, value } of group) {
          if (value === undefined) continue
          taskOf(keyGroup)?.restoreRecord(key, value)
          records++
          bytes += key.length + value.length
        }
    } else
      for (const task of tasks)
        for (const slot of task.settings.owned)
          for await (const { key, value } of local.held(stage.index, slot)) task.restoreRecord(key, value)
    const bySlot = stored.watermarks.map(time => time ?? -Infinity)
    for (const task of tasks) task.restoreProgress(bySlot)
  }
  return { ...nothing, fetched, whole: { records, bytes } }
}
