/**
 * Begins one generation of a job: reads what is decided, checks that the code can take the stored state, restores the tasks, and
 * hands over a shell ready to start. The same for production and the test driver; only the ports differ.
 */
import { defineActor } from '../../actors/definition.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import type { Plan, SourceNode } from '../../actors/plan.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { collect, readHead, readRetained, stageRecords } from '../../checkpoint/recovery.ts'
import type { StateRecord } from '../../checkpoint/state-file.ts'
import type { StateStore, StorePrefixDelete, StoreWrite } from '../../checkpoint/state-store.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import type { KeyedTask } from '../core/keyed-task.ts'
import { CodedError } from '../kernel/errors.ts'
import type { PartitionProgress } from '../core/source-task.ts'
import { buildStageGraph, taskOfKeyGroup, type StageGraph } from '../core/stage-graph.ts'
import type { SinkLimits } from '../core/task-outputs.ts'
import { slotKey } from '../core/topology.ts'
import { Worker, type WorkerSettings } from '../core/worker.ts'
import type { Clock } from '../ports/clock.ts'
import type { Appender, LogReader } from '../ports/log.ts'
import type { Publisher } from '../ports/publisher.ts'
import { CheckpointWriter, type Probe } from './checkpoint-writer.ts'
import { sha256 } from './sha256.ts'
import { recordWrites, storeReader } from './store-keeper.ts'
import { WorkerShell } from './worker-shell.ts'

export interface Ports {
  readonly clock: Clock
  readonly storage: CheckpointStorage
  readonly reader: (source: SourceNode) => LogReader
  /** By sink name; `dead-letters` included. Sinks that are not transactional are absent. */
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly appenders: ReadonlyMap<string, Appender>
  readonly nonce: () => string
  readonly probe?: Probe
  readonly onTap?: (handle: string, value: unknown) => void
  /** Makes an empty local store; asked when the plan bounds what stays in memory. */
  readonly store: () => Promise<StateStore>
  /** Freeze events, and notice state that changes between handlers. */
  readonly check?: boolean
  /** Stages whose stored state is given up, though the job has no such stage any more. */
  readonly dropState?: readonly string[]
  readonly limits?: Pick<WorkerSettings, 'pendingLimitBytes' | 'checkpointTimeoutMs'>
}

export type Incarnation =
  | {
      readonly kind: 'running'
      readonly worker: Worker
      readonly shell: WorkerShell
      readonly generation: number
      /** The last checkpoint is final: only what it left unpublished is done now. */
      readonly wasFinal: boolean
    }
  /** The last checkpoint is final and everything is published. */
  | { readonly kind: 'finished'; readonly epoch: number }

/** One lineage until forks exist. */
const lineage = 1

export async function beginIncarnation(plan: Plan, ports: Ports): Promise<Incarnation> {
  const { log, head } = await readHead(ports.storage, plan.job, ports.nonce)
  const graph = buildStageGraph(plan)
  const manifest = head?.manifest
  const { definitions, schemas } = define(graph, manifest)
  if (manifest !== undefined) refuseChanges(plan, graph, manifest, ports.dropState ?? [])
  if (manifest?.final === true && manifest.outboxes.length === 0) return { kind: 'finished', epoch: manifest.epoch }

  const generation = log.generation + 1
  const parent = head === undefined ? null : { epoch: head.manifest.epoch, hash: head.hash }
  const began = await log.append({ kind: 'begins', generation, lineage, parent })
  if (began.kind === 'lost')
    throw new CodedError('FENCED', `generation ${generation}: another owner began at the same time`)

  // From here on this process owns the job: what older ones left behind may go.
  const retained = manifest === undefined ? [] : await readRetained(ports.storage, log, manifest, 3)
  await collect(ports.storage, retained)

  const readers = new Map<number, LogReader>()
  const partitions = new Map<string, readonly PartitionProgress[]>()
  for (const stage of graph.stages) {
    if (stage.kind !== 'source') continue
    const reader = ports.reader(stage.node)
    readers.set(stage.index, reader)
    partitions.set(stage.name, await positions(stage.node, reader, manifest))
  }
  const limits = new Map<string, SinkLimits>()
  for (const [sink, publisher] of ports.publishers) limits.set(sink, await publisher.describe())

  const store = plan.cacheBytes === undefined ? undefined : await ports.store()
  const worker = new Worker({
    graph,
    lineage,
    generation,
    owner: ports.nonce(),
    epoch: manifest?.epoch ?? 0,
    intervalMs: plan.intervalMs,
    leftSlots: leftSlots(manifest, ports.publishers),
    cacheBytes: cachePerTask(graph),
    check: ports.check === true,
    ...(store === undefined ? {} : { readerOf: (stage: number, task: number) => storeReader(store, stage, task) }),
    definitions,
    schemas,
    partitions,
    limits,
    floors: new Map(manifest?.ledgers.map(ledger => [slotKey(ledger), { epoch: ledger.epoch, chunk: ledger.chunk }])),
    ...(plan.cacheBytes === undefined ? {} : { pendingLimitBytes: pendingFor(plan.cacheBytes) }),
    ...ports.limits,
    ...(ports.onTap === undefined ? {} : { onTap: ports.onTap })
  })
  if (manifest !== undefined) await restore(worker, graph, manifest, ports.storage, store)
  const { clock, storage, nonce, publishers, appenders } = ports
  const probe = ports.probe === undefined ? {} : { probe: ports.probe }
  const writer = new CheckpointWriter({
    graph,
    storage,
    log,
    head,
    retained,
    generation,
    lineage,
    schemas: new Map([...schemas].map(([name, { list }]) => [name, list])),
    slots: worker.slots,
    clock,
    nonce,
    sha256,
    ...probe
  })
  if (head === undefined)
    await writer.start([...partitions].map(([name, progress]) => ({ name, partitions: progress })))
  const shell = new WorkerShell({
    worker,
    writer,
    clock,
    storage,
    readers,
    publishers,
    appenders,
    ...(store === undefined ? {} : { store }),
    ...probe
  })
  return { kind: 'running', worker, shell, generation, wasFinal: manifest?.final ?? false }
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

async function positions(
  node: SourceNode,
  reader: LogReader,
  manifest: Manifest | undefined
): Promise<PartitionProgress[]> {
  const known = manifest?.sources.find(each => each.name === node.name)?.partitions ?? []
  const found = await reader.partitions()
  const missing = known.find(each => found[each.partition]?.name !== each.name)
  if (missing !== undefined)
    throw new CodedError(
      'INPUT_REGRESSED',
      `source "${node.name}": partition "${missing.name}" of the checkpoint is not there any more`
    )
  const from = 'from' in node.source ? node.source.from : 'earliest'
  const progress: PartitionProgress[] = []
  for (const [partition, { name }] of found.entries())
    progress.push(
      known.find(each => each.partition === partition) ?? {
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

function cachePerTask({ stages, plan }: StageGraph): number | undefined {
  const tasks = stages.filter(stage => stage.kind === 'keyed').length * plan.parallelism
  return plan.cacheBytes === undefined ? undefined : plan.cacheBytes / Math.max(1, tasks)
}

/** What waits for a checkpoint may take as much again as the cache, within reason. */
function pendingFor(cacheBytes: number): number {
  return Math.min(128 * 1024 * 1024, Math.max(16 * 1024 * 1024, cacheBytes))
}

/** Brings every record of the checkpoint to its task, or into the store when there is one. */
async function restore(
  worker: Worker,
  graph: StageGraph,
  manifest: Manifest,
  storage: CheckpointStorage,
  store: StateStore | undefined
): Promise<void> {
  const taskOf = (tasks: readonly KeyedTask[], keyGroup: number): KeyedTask =>
    tasks[taskOfKeyGroup(keyGroup, graph.plan.slots, tasks.length)] as KeyedTask
  for (const stage of graph.stages) {
    const stored = stage.kind === 'keyed' ? manifest.stages.find(each => each.name === stage.name) : undefined
    if (stored === undefined) continue
    const tasks = worker.keyedTasks(stage.index)
    const records = stageRecords(storage, manifest, stored)
    if (store === undefined)
      for await (const { keyGroup, key, value } of records) {
        if (value !== undefined) taskOf(tasks, keyGroup).restoreRecord(key, value)
      }
    else await store.apply(storeWrites(records, record => taskOf(tasks, record.keyGroup)))
    const bySlot = stored.watermarks.map(time => time ?? -Infinity)
    for (const task of tasks) task.restoreProgress(bySlot)
  }
}

async function* storeWrites(
  records: AsyncIterable<StateRecord>,
  taskOf: (record: StateRecord) => KeyedTask
): AsyncGenerator<StoreWrite | StorePrefixDelete> {
  for await (const record of records) yield* recordWrites(taskOf(record), record)
}
