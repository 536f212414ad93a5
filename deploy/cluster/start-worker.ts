/** The composition root of a worker process: binds a job to real files, NATS and TCP, and joins the job's cluster. */
import { createHash, randomBytes } from 'node:crypto'
import type { Job } from '../../actors/stream.ts'
import { overriddenInterval } from '../../actors/interval.ts'
import type { Plan, StoreKind } from '../../actors/plan.ts'
import { followLineages } from '../../checkpoint/lineages.ts'
import { loadTracing } from '../../runtime/adapters/opentelemetry.ts'
import { tcpTransport, type TcpOptions } from '../../runtime/adapters/tcp-transport.ts'
import type { ClusterTiming } from '../../runtime/core/cluster-timing.ts'
import { subjects } from '../../runtime/core/cluster-messages.ts'
import type { ElectorTiming } from '../../runtime/core/elector.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { ClusterWorker } from '../../runtime/shell/cluster-worker.ts'
import { KafkaSide } from '../kafka.ts'
import { lockFolder, makeJobFolder } from '../job-lock.ts'
import { bind } from '../start-job.ts'
import type { ConnectionValues, KafkaValues } from '../settings/tables.ts'
import { connectCluster, natsOptions } from './connection.ts'
import { startHeart } from './heart.ts'
import { toldLineages } from './told-storage.ts'

export interface WorkerOptions {
  readonly connection: ConnectionValues
  readonly kafka: Partial<KafkaValues>
  /** Stays the same when the process is started again. */
  readonly name: string
  /** Absolute; this worker's own, on a local disk. */
  readonly local: string
  readonly tcp: TcpOptions
  readonly timing: ClusterTiming & ElectorTiming
  readonly tasks?: number
  readonly intervalMs?: number
  /** Instead of it. */
  readonly latencyMs?: number
  readonly store?: StoreKind
  readonly cacheBytes?: number
  readonly dropState?: readonly string[]
  /** Spans through `@opentelemetry/api`. Throws PACKAGE_MISSING. */
  readonly tracing?: boolean
  /** A worker whose event loop stands still for so long is lost; sooner it only counts as busy. */
  readonly hungAfterMs: number
  /** Told for how long the event loop stood still. */
  readonly stood: (ms: number) => void
  /** Told of what goes wrong outside and is tried again. */
  readonly troubled: (error: CodedError) => void
  /** Storage answers again. */
  readonly recovered: () => void
  /** Told why a data connection that somebody made was closed. */
  readonly refused: (reason: string) => void
}

export interface StartedWorker {
  readonly worker: ClusterWorker
  /** How the job ended here. Everything is closed then. */
  readonly ended: Promise<'finished' | 'drained' | 'stopped'>
  readonly connected: () => boolean
}

const nonce = (): string => randomBytes(8).toString('hex')

/** Throws OPTION_INVALID, LOCKED, BUS_UNREACHABLE and what else may be wrong with what is named. */
export async function startWorker(job: Job<unknown>, code: string, options: WorkerOptions): Promise<StartedWorker> {
  const plan: Plan = {
    ...job.plan,
    parallelism: options.tasks ?? job.plan.parallelism,
    ...overriddenInterval(job.plan, options),
    store: options.store ?? job.plan.store,
    cacheBytes: options.cacheBytes ?? job.plan.cacheBytes
  }
  refuseLocal(plan)
  const spans = options.tracing === true ? { tracing: await loadTracing() } : {}
  await makeJobFolder(options.local)
  const unlock = await lockFolder(options.local)
  const kafka = new KafkaSide(plan, { settings: options.kafka, troubled: options.troubled })
  try {
    const { lineages, key, bus } = await connectCluster(
      plan.job,
      options.connection,
      options.timing.leaseMs,
      true,
      options.troubled
    )
    try {
      const newest = (await followLineages(toldLineages(lineages, options), nonce)).at(-1)
      if (newest === undefined) throw new CodedError('NOT_FOUND', `job "${plan.job}" has no lineage`)
      const { lineage, storage } = newest
      const worker = new ClusterWorker({
        plan,
        planHash: planHash(plan, code),
        name: options.name,
        ports: {
          ...bind(plan, options.local, kafka, undefined, undefined),
          ...spans,
          lineage,
          storage,
          dropState: options.dropState ?? []
        },
        bus,
        transport: tcpTransport(options.tcp),
        timing: options.timing,
        refused: options.refused
      })
      const { connection, timing, hungAfterMs } = options
      const heart = startHeart(
        {
          nats: natsOptions(plan.job, connection, timing.leaseMs),
          key,
          subject: `${plan.job}.${subjects.pulses}`,
          worker: worker.id,
          heartbeatMs: timing.heartbeatMs,
          hungAfterMs
        },
        options.stood
      )
      const ended = worker.ended.finally(async () => {
        await heart.stop()
        await bus.close()
        await kafka.close()
        await unlock()
      })
      ended.catch(() => undefined)
      await worker.start().catch(async (error: unknown) => {
        await heart.stop()
        throw error
      })
      return { worker, ended, connected: () => bus.connected }
    } catch (error) {
      await bus.close()
      throw error
    }
  } catch (error) {
    await kafka.close()
    await unlock()
    throw error
  }
}

/** Workers with another code, or other settings that change what the job does, must not work together. */
function planHash({ parallelism, intervalMs, latencyGoal, slots, keyGroups }: Plan, code: string): string {
  return createHash('sha256')
    .update(
      JSON.stringify([parallelism, intervalMs, slots, keyGroups, ...(latencyGoal === undefined ? [] : [latencyGoal])])
    )
    .update(code)
    .digest('hex')
    .slice(0, 32)
}

/** What lives in one process cannot be shared by several. */
function refuseLocal(plan: Plan): void {
  const wrong = plan.nodes.flatMap(node => {
    if (node.kind === 'source' && node.source.connector === 'log') return [`source "${node.name}"`]
    if (node.kind === 'sink' && node.sink.connector === 'log') return [`sink "${node.name}"`]
    return []
  })
  if (wrong.length === 0) return
  throw new CodedError(
    'OPTION_INVALID',
    `${wrong.join(', ')}: the embedded log belongs to one process; a cluster needs files that all workers see, or Kafka`
  )
}
