/** What the outboxes of decided checkpoints hold for each slot, in the order in which it is published. */
import type { OutboxRef } from '../../checkpoint/manifest.ts'
import type { DecidedChunk } from '../core/slot-machine.ts'
import { slotKey } from '../core/topology.ts'
import { CodedError } from '../kernel/errors.ts'

export interface SlotChunks {
  readonly sink: string
  readonly stage: string
  readonly slot: number
  readonly chunks: DecidedChunk[]
}

/** By `slotKey`. */
export function decidedChunks(outboxes: readonly OutboxRef[], manifestHash: string): Map<string, SlotChunks> {
  const bySlot = new Map<string, SlotChunks>()
  for (const { stage, epoch, file, sections } of [...outboxes].sort((a, b) => a.epoch - b.epoch))
    for (const { sink, slot, chunks } of sections) {
      const key = slotKey({ sink, stage, slot })
      const known = bySlot.get(key) ?? { sink, stage, slot, chunks: [] }
      bySlot.set(key, known)
      for (const [chunk, { last, offset, length }] of chunks.entries())
        known.chunks.push({ epoch, chunk, last, manifestHash, file: file.name, offset, length })
    }
  return bySlot
}

export function sinkGone(key: string, { chunks }: SlotChunks): CodedError {
  return new CodedError(
    'RECOVERY_HALTED',
    `epoch ${chunks[0]?.epoch} has unpublished output for slot ${key}, whose sink the job no longer has: run it once more with that sink, or start over with --fresh`
  )
}
