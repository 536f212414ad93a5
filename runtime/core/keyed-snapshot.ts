/** What a keyed task hands over for one epoch. */
import type { LoopReport } from '../../checkpoint/loop-ends.ts'
import type { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import type { StateSnapshot } from './task-state.ts'

interface Progress {
  readonly outbox: OutboxFileWriter | undefined
  readonly watermarks: readonly { readonly slot: number; readonly time: number }[]
  readonly finished: boolean
}

/** A task as it was when it sealed the epoch. */
export interface SealedProgress extends Progress {
  readonly loop: (Omit<LoopReport, 'quiet'> & { readonly inputsEnded: boolean }) | undefined
}

export interface KeyedSnapshot extends StateSnapshot, Progress {
  /** Of a task that belongs to a loop and has not ended; see `loopSteps`. */
  readonly loop: LoopReport | undefined
}
