/** What the command line sees of a job that runs in this process. `startJob` in `start-job.ts` makes one. */
import type { Telemetry } from '../runtime/ports/telemetry.ts'

export interface StartOptions {
  /** Folder that holds everything of all jobs. Default `.cairn`. The job's own folder is `<storage>/<job>`. */
  readonly storage: string
  /** Forget checkpoints, local state and the outputs' ledgers first (files and topics written are moved aside, never deleted silently). */
  readonly fresh: boolean
  readonly store: 'level' | 'memory'
  /** Hot actors kept as objects. Default 256 MiB. */
  readonly cacheBytes: number
  /** Dirty, sealed and outbox bytes together. Default 128 MiB: half asks for a checkpoint, all of it pauses the sources. */
  readonly pendingBytes: number
  /** Overrides of the job's own options. */
  readonly parallelism?: number
  readonly intervalMs?: number
  /** `run --check`: freeze delivered events and compare state between handlers. */
  readonly check: boolean
  readonly telemetry: Telemetry
}

export interface JobStatus {
  readonly job: string
  readonly phase: 'restoring' | 'running' | 'draining' | 'finished' | 'failed'
  readonly generation: number
  /** Events handled by keyed stages plus records read by sources, since start. */
  readonly events: number
  readonly recordsRead: number
  /** Records (log) or bytes (files) not read yet, where known. */
  readonly lag: number | undefined
  /** Least watermark of all sources, ms since 1970; undefined before the first. */
  readonly watermark: number | undefined
  readonly checkpoint: { readonly epoch: number; readonly completedAt: number; readonly durationMs: number; readonly bytes: number } | undefined
  readonly late: number
  readonly deadLetters: number
  readonly keys: number
  readonly sinks: readonly { readonly name: string; readonly published: number }[]
}

export interface RunningJob {
  status(): JobStatus
  /** Stop intake, finish what was read, take a last checkpoint, publish it, close. No final watermark. Idempotent. */
  drain(): Promise<void>
  /** At once, as if killed, but files closed. Idempotent. */
  stop(): Promise<void>
  /** Resolves when the job ended by itself (`finished`), was drained (`drained`) or stopped; rejects when it failed. */
  readonly ended: Promise<'finished' | 'drained' | 'stopped'>
  /** Takes a checkpoint that retention leaves alone; resolves once it is decided. */
  savepoint(): Promise<{ readonly epoch: number }>
  /** Live fields of one actor, undefined when there is none. `stage` is the stage or actor name. */
  state(stage: string, key: string | number | readonly (string | number)[]): Promise<Record<string, unknown> | undefined>
  /** Appends raw records to a topic of the job's embedded log. */
  append(topic: string, records: readonly { readonly key?: Uint8Array; readonly value: Uint8Array; readonly timestamp?: number }[]): Promise<void>
  /** Committed records of an embedded topic. */
  read(topic: string, partition: number, position: number, limit: number): Promise<readonly { readonly position: number; readonly timestamp: number; readonly key: Uint8Array | undefined; readonly value: Uint8Array | undefined }[]>
}
