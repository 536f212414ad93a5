/** What the command line sees of a job that runs in this process. `startJob` in `start-job.ts` makes one. */
import type { StoreKind } from '../actors/plan.ts'
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import type { KafkaOptions } from './kafka.ts'
import type { PaceGauges } from '../runtime/core/checkpoint-pace.ts'
import type { QuarantineAnswer, QuarantineCommand } from '../runtime/core/quarantine.ts'
import type { GenerationGauges } from '../runtime/core/worker-gauges.ts'
import type { Parked } from './quarantine.ts'

export interface StartOptions {
  /** Folder that holds everything of all jobs. The job's own folder is `<storage>/<job>`. */
  readonly storage: string
  /** Start over: checkpoints and output folders are moved aside first. */
  readonly fresh: boolean
  /** Override the job's own options. */
  readonly parallelism?: number
  readonly intervalMs?: number
  /** Instead of it. */
  readonly latencyMs?: number
  readonly store?: StoreKind
  readonly cacheBytes?: number
  /** Freeze events, and notice state that changes between handlers. */
  readonly check?: boolean
  /** Stages that the job no longer has, whose stored state is given up. */
  readonly dropState?: readonly string[]
  /** Go back to that savepoint, or kept checkpoint; to another than the newest only with `fork`, in a new lineage. */
  readonly restore?: string
  readonly fork?: boolean
  /** Where a job that has no checkpoint begins: at that savepoint, or kept checkpoint, of another job in the same storage. */
  readonly beginAt?: { readonly job: string; readonly savepoint: string }
  readonly kafka?: KafkaOptions
  /** Spans through `@opentelemetry/api`. Throws PACKAGE_MISSING. */
  readonly tracing?: boolean
}

export interface JobStatus {
  readonly job: string
  readonly phase: 'running' | 'draining' | 'finished' | 'failed'
  readonly lineage: number
  readonly generation: number
  /** Events handled by keyed stages, since start. */
  readonly events: number
  readonly recordsRead: number
  /** Records or bytes not read yet, where known. */
  readonly lag: number | undefined
  /** Least watermark of all sources, ms since 1970; undefined before the first. */
  readonly watermark: number | undefined
  readonly checkpoint:
    | { readonly epoch: number; readonly completedAt: number; readonly durationMs: number; readonly bytes: number }
    | undefined
  /** How often checkpoints are taken, and whether the job's latency goal is kept. */
  readonly pace: PaceGauges
  /** Why no checkpoint completes at the moment (a full disk, …); undefined when all is well. */
  readonly trouble: string | undefined
  readonly late: number
  readonly deadLetters: number
  readonly keys: number
  /** Keys in quarantine. */
  readonly quarantined: number
  readonly sinks: readonly { readonly name: string; readonly published: number }[]
}

export interface RunningJob {
  status(): JobStatus
  gauges(): GenerationGauges
  /** Open for as long as the job runs; undefined when nothing of the job uses a topic. */
  readonly log: EmbeddedLog | undefined
  /** Stop intake, finish what was read, take a last checkpoint, publish it, close. No final watermark. */
  drain(): Promise<void>
  /** At once, as if killed, but files closed. */
  stop(): Promise<void>
  /** Asks for a checkpoint and waits until it is decided: its epoch. The newest one where nothing has changed since. */
  checkpoint(): Promise<number>
  /** A checkpoint under a name, kept until it is dropped. Throws OPTION_INVALID when the name is taken. */
  savepoint(name: string): Promise<{ readonly name: string; readonly epoch: number }>
  /** Keys whose handler failed, with what waits for them. */
  quarantine(): readonly Parked[]
  /** Has such a key retried, edited or dropped; resolves when that is decided. Throws NOT_FOUND when it is not in quarantine. */
  operate(command: QuarantineCommand): Promise<QuarantineAnswer>
  /**
   * Resolves when the job ended by itself, was drained or stopped; rejects when it failed. `parked`: all input is handled, but for keys in
   * quarantine. Started again it waits until they are released.
   */
  readonly ended: Promise<'finished' | 'drained' | 'parked' | 'stopped'>
  /** Live fields of one actor, undefined when there is none. `stage` is the stage or actor name. */
  state(
    stage: string,
    key: string | number | readonly (string | number)[]
  ): Promise<Record<string, unknown> | undefined>
}
