/** What a worker tells the leader about an epoch: every file with its hash, so that the manifest can name it. Plain data. */
import type { LoopReport } from './loop-ends.ts'
import type { OutboxRef, PartitionPosition, StateFileRef } from './manifest.ts'

export interface TaskAcknowledgement {
  readonly stage: string
  readonly task: number
  readonly state?: StateFileRef
  readonly outbox?: OutboxRef
  readonly positions: readonly PartitionPosition[]
  readonly watermarks: readonly { readonly slot: number; readonly time: number | null }[]
  readonly finished: boolean
  /** Of a task of a loop that has not ended. */
  readonly loop?: LoopReport
}

/** What a slot's ledger says. */
export interface SlotLedger {
  readonly sink: string
  readonly stage: string
  readonly slot: number
  readonly epoch: number
  readonly chunk: number
}

/** Of all tasks of one worker. */
export interface Acknowledgement {
  readonly epoch: number
  readonly tasks: readonly TaskAcknowledgement[]
  readonly ledgers: readonly SlotLedger[]
  /** What checkpoints have taken of its event loop since the generation began; absent where nobody measures, and from older workers. */
  readonly workMs?: number
}
