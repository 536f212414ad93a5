/** The composition root: binds a job to real files and streams, and runs it in this process. */
import { randomBytes } from 'node:crypto'
import { rename, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { SinkSpec } from '../actors/connectors.ts'
import { overriddenInterval } from '../actors/interval.ts'
import { isOnDisk, type Plan, type SourceNode, type StoreKind } from '../actors/plan.ts'
import type { Job } from '../actors/stream.ts'
import { DirectoryLineages } from '../checkpoint/adapters/directory-lineages.ts'
import { LevelStore } from '../checkpoint/adapters/level-store.ts'
import { loadRocks } from '../checkpoint/adapters/load-rocks.ts'
import { MemoryStore } from '../checkpoint/adapters/memory-store.ts'
import { nodeFiles } from '../checkpoint/adapters/node-files.ts'
import { RocksStore } from '../checkpoint/adapters/rocks-store.ts'
import { oneAtATime, type StateStore } from '../checkpoint/state-store.ts'
import { firstLineage } from '../checkpoint/lineages.ts'
import { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { CsvReader } from '../runtime/adapters/csv-reader.ts'
import { FilesPublisher } from '../runtime/adapters/files-publisher.ts'
import { GeneratorReader } from '../runtime/adapters/generator-reader.ts'
import { LinesReader } from '../runtime/adapters/lines-reader.ts'
import { nodeClock } from '../runtime/adapters/node-clock.ts'
import { loadTracing } from '../runtime/adapters/opentelemetry.ts'
import { StreamAppender } from '../runtime/adapters/stream-appender.ts'
import { deadLettersName } from '../runtime/core/topology.ts'
import { assert, CodedError } from '../runtime/kernel/errors.ts'
import type { Appender, LogReader } from '../runtime/ports/log.ts'
import type { Publisher } from '../runtime/ports/publisher.ts'
import type { Ports } from '../runtime/shell/generation.ts'
import { beginIncarnation } from '../runtime/shell/incarnation.ts'
import type { Probe } from '../runtime/shell/task-files.ts'
import { openControl } from './control-server.ts'
import { answersOf } from './job-answers.ts'
import type { JobStatus, RunningJob, StartOptions } from './running-job.ts'
import { KafkaSide } from './kafka.ts'
import { lockFolder, makeJobFolder } from './job-lock.ts'
import { openLineage } from './open-lineage.ts'
import { localStorage } from './storage-place.ts'

export type Started =
  | {
      readonly kind: 'running'
      readonly job: RunningJob
      readonly wasFinal: boolean
      /** What `restore` came to. */
      readonly restored: string | undefined
    }
  | { readonly kind: 'finished'; readonly epoch: number; readonly restored: string | undefined }

/** Of a `--store` on disk without `--cache`. */
const defaultCacheBytes = 256 * 1024 * 1024

const nonce = (): string => randomBytes(8).toString('hex')

export async function startJob(job: Job<unknown>, options: StartOptions, probe?: Probe): Promise<Started> {
  const plan: Plan = {
    ...job.plan,
    parallelism: options.parallelism ?? job.plan.parallelism,
    ...overriddenInterval(job.plan, options),
    store: options.store ?? job.plan.store,
    cacheBytes: options.cacheBytes ?? job.plan.cacheBytes ?? (isOnDisk(options.store) ? defaultCacheBytes : undefined)
  }
  const folder = resolve(localStorage(options.storage), plan.job)
  const spans = options.tracing === true ? { tracing: await loadTracing() } : {}
  await makeJobFolder(folder)
  const unlock = await lockFolder(folder)
  let log: EmbeddedLog | undefined
  const kafka = new KafkaSide(plan, options.kafka ?? {})
  const release = async (): Promise<void> => {
    await kafka.close()
    await log?.close()
    await unlock()
  }
  try {
    if (usesLog(plan)) log = await openLog(plan, folder, options.fresh)
    if (options.fresh) await setAside(plan, folder, kafka, log)
    const bound = {
      ...bind(plan, folder, kafka, log, probe),
      ...spans,
      check: options.check === true,
      dropState: options.dropState ?? []
    }
    const lineages = new DirectoryLineages(nodeFiles, folder)
    const { beginAt } = options
    const { ports, restored } = await openLineage(
      plan,
      lineages,
      ({ lineage, storage }) => ({ ...bound, lineage, storage }),
      nonce,
      options,
      beginAt === undefined
        ? undefined
        : {
            ...beginAt,
            lineages: new DirectoryLineages(nodeFiles, resolve(localStorage(options.storage), beginAt.job))
          }
    )
    const begun = await beginIncarnation(plan, ports)
    if (begun.kind === 'finished') {
      await release()
      return { ...begun, restored }
    }
    const { worker, shell, generation } = begun
    let phase: JobStatus['phase'] = 'running'
    let closeControl = (): Promise<void> => Promise.resolve()
    const ended = shell.ended.finally(async () => {
      await shell.stop()
      await closeControl()
      await release()
    })
    ended.then(
      how => (phase = how === 'finished' ? 'finished' : 'draining'),
      () => (phase = 'failed')
    )
    const status = (): JobStatus => ({
      job: plan.job,
      phase,
      lineage: ports.lineage ?? firstLineage,
      generation,
      ...worker.counts,
      checkpoint: shell.lastCheckpoint,
      pace: shell.pace,
      trouble: shell.trouble,
      sinks: [...shell.published].map(([name, published]) => ({ name, published }))
    })
    const running: RunningJob = {
      status,
      gauges: () => shell.gauges,
      log,
      ended,
      async drain() {
        phase = 'draining'
        shell.drain()
        await ended
      },
      async stop() {
        await shell.stop()
        await ended
      },
      checkpoint: () => shell.checkpoint(),
      savepoint: name => shell.savepoint(name),
      quarantine: () => worker.parked(),
      operate: command => shell.operate(command),
      state: (stage, key) => Promise.resolve(worker.stateOf(stage, key))
    }
    const answers = answersOf(running, plan, folder, lineages, options.kafka ?? {})
    let began = (): void => undefined
    const start = new Promise<void>(resolve => (began = resolve))
    // The socket is there before the job runs: what is asked so early waits.
    closeControl = await openControl(folder, request => start.then(() => answers(request)))
    shell.start()
    began()
    return { kind: 'running', job: running, wasFinal: begun.wasFinal, restored }
  } catch (error) {
    await release()
    throw error
  }
}

/**
 * Moves checkpoints, output folders and output topics aside, so that nothing is deleted silently. A topic that is read stays, and so does one
 * of Kafka, to which the output of the new life is added.
 */
async function setAside(plan: Plan, folder: string, kafka: KafkaSide, log: EmbeddedLog | undefined): Promise<void> {
  // First: a ledger without its checkpoints would pass for output that was published.
  await kafka.forget(
    sinksOf(plan).flatMap(([name, sink]) =>
      sink.connector === 'kafka' && deliveryOf(plan, name) === 'exactly-once' ? [[name, sink] as const] : []
    )
  )
  const suffix = `.before-${randomBytes(4).toString('hex')}`
  const folders = [
    join(folder, 'lineages'),
    ...sinksOf(plan).flatMap(([, sink]) => (sink.connector === 'files' ? [resolve(sink.folder)] : []))
  ]
  for (const path of new Set(folders)) {
    const there = await stat(path).then(
      () => true,
      () => false
    )
    if (there) await rename(path, `${path}${suffix}`)
  }
  if (log === undefined) return
  const read = topicsRead(plan)
  const written = sinksOf(plan).flatMap(([, sink]) => (sink.connector === 'log' ? [sink.topic] : []))
  for (const topic of new Set(written))
    if (!read.includes(topic) && log.topic(topic) !== undefined) await log.renameTopic(topic, `${topic}${suffix}`)
  await log.forgetLedger()
}

/** To start over, a damaged log is moved aside whole, unless topics that the job reads are in it. */
async function openLog(plan: Plan, folder: string, fresh: boolean): Promise<EmbeddedLog> {
  const path = join(folder, 'log')
  try {
    return await EmbeddedLog.open(path, nodeClock)
  } catch (error) {
    if (!fresh || !(error instanceof CodedError) || error.code !== 'CORRUPT') throw error
    const read = topicsRead(plan)
    if (read.length > 0)
      throw new CodedError('CORRUPT', `${error.message}; it holds topics that the job reads: ${read.join(', ')}`, {
        cause: error,
        remedy: `Restore "${path}" from a copy; or move it away and fill the topics again.`
      })
    await rename(path, `${path}.before-${randomBytes(4).toString('hex')}`)
    return EmbeddedLog.open(path, nodeClock)
  }
}

function topicsRead(plan: Plan): string[] {
  return plan.nodes.flatMap(node =>
    node.kind === 'source' && node.source.connector === 'log' ? [node.source.topic] : []
  )
}

/** Dead letters are written only where a stage asks for it. */
function usesLog(plan: Plan): boolean {
  return topicsRead(plan).length > 0 || sinksOf(plan).some(([, sink]) => sink.connector === 'log')
}

function sinksOf(plan: Plan): [string, SinkSpec][] {
  const sinks = plan.nodes.flatMap((node): [string, SinkSpec][] =>
    node.kind === 'sink' ? [[node.name, node.sink]] : []
  )
  const letters =
    plan.onError === 'dead-letter' || plan.nodes.some(node => 'onError' in node && node.onError === 'dead-letter')
  return letters ? [...sinks, [deadLettersName, plan.deadLetters]] : sinks
}

/** Dead letters go out as well as their sink can. */
function deliveryOf(plan: Plan, sink: string): 'exactly-once' | 'at-least-once' {
  const node = plan.nodes.find(node => node.kind === 'sink' && node.name === sink)
  return node?.kind === 'sink' ? node.delivery : 'exactly-once'
}

/** Each kind on disk has a folder of its own: what another left behind is neither read nor touched. Throws PACKAGE_MISSING. */
function storeOf(kind: StoreKind, folder: string): () => Promise<StateStore> {
  switch (kind) {
    case 'memory': {
      // Of use to the next generation of this process.
      const inMemory = new MemoryStore()
      return () => Promise.resolve(inMemory)
    }
    case 'level':
      return () => LevelStore.open(join(folder, 'store'))
    case 'rocksdb':
      loadRocks()
      return () => RocksStore.open(join(folder, 'store-rocksdb'))
  }
}

/** The outside world of a job in this process. `folder`: local to it. Throws OPTION_INVALID, PACKAGE_MISSING. */
export function bind(
  plan: Plan,
  folder: string,
  kafka: KafkaSide,
  log: EmbeddedLog | undefined,
  probe: Probe | undefined
): Omit<Ports, 'storage'> {
  const publishers = new Map<string, Publisher>()
  const appenders = new Map<string, Appender>()
  for (const [name, sink] of sinksOf(plan))
    if (sink.connector === 'files') publishers.set(name, new FilesPublisher(nodeFiles, resolve(sink.folder)))
    else if (sink.connector === 'log' && log !== undefined) {
      const publisher = log.publisher(sink.topic, { partitions: sink.partitions })
      publishers.set(name, publisher)
      appenders.set(name, log.appender(sink.topic))
    } else if (sink.connector === 'stdout') appenders.set(name, new StreamAppender(process.stdout))
    else if (sink.connector === 'kafka' && deliveryOf(plan, name) === 'exactly-once')
      publishers.set(name, kafka.publisher(name, sink))
    else if (sink.connector === 'kafka') {
      const { appender, target } = kafka.appender(name, sink)
      appenders.set(name, appender)
      publishers.set(name, target)
    }
  return {
    clock: nodeClock,
    measure: () => performance.now(),
    store: oneAtATime(storeOf(plan.store, folder)),
    spill: { files: nodeFiles, folder: join(folder, 'spill') },
    reader: node => reader(node, kafka, log),
    publishers,
    appenders,
    nonce,
    ...(probe === undefined ? {} : { probe })
  }
}

function reader(node: SourceNode, kafka: KafkaSide, log: EmbeddedLog | undefined): LogReader {
  switch (node.source.connector) {
    case 'lines':
      return new LinesReader(node.source.paths.map(path => resolve(path)))
    case 'csv':
      return new CsvReader(
        node.source.paths.map(path => resolve(path)),
        node.source
      )
    case 'generator':
      return new GeneratorReader(node.source)
    case 'log':
      assert(log !== undefined, 'a topic without a log')
      return log.reader(node.source.topic, { bounded: node.source.bounded })
    case 'kafka':
      return kafka.reader(node.name, node.source)
  }
}
