/** What the explored worker writes: what each slot gets of an epoch, and the manifest of it. */
import type { DecidedChunk, SlotMachine } from '../../runtime/core/slot-machine.ts'
import type { ChunkWithRecords, Local } from './local.ts'
import { recordsPerInput, type StoredManifest, type StoredOutbox } from './world.ts'

/** At most two chunks, so that an epoch can be published in half. */
export function cut(slot: number, from: number, to: number, generation: number): string[][] {
  const records: string[] = []
  for (let input = from + 1; input <= to; input++)
    for (let i = 0; i < recordsPerInput(slot); i++) records.push(`${input}${'ab'[i]}g${generation}`)
  const half = Math.ceil(records.length / recordsPerInput(slot))
  return [records.slice(0, half), records.slice(half)].filter(chunk => chunk.length > 0)
}

export function chunksOf(outboxes: readonly StoredOutbox[], slot: number): ChunkWithRecords[] {
  return outboxes
    .filter(outbox => outbox.slot === slot)
    .sort((a, b) => a.epoch - b.epoch)
    .flatMap(({ epoch, file, chunks }) =>
      chunks.map((records, chunk) => ({ ...chunkAt(epoch, chunk, chunk === chunks.length - 1, file.name), records }))
    )
}

function chunkAt(epoch: number, chunk: number, last: boolean, file: string): DecidedChunk {
  return { epoch, chunk, last, manifestHash: '', file, offset: chunk, length: 1 }
}

export function manifestOf(epoch: number, local: Local, slots: readonly SlotMachine[]): StoredManifest {
  const { generation, head, position, state, acknowledged, lineage } = local
  const unpublished = (head?.manifest.outboxes ?? []).filter(outbox => !isPublished(outbox, slots))
  return {
    epoch,
    generation,
    previous: head?.name ?? null,
    position,
    stages: state === undefined ? [] : [{ files: [state] }],
    outboxes: [...unpublished, ...acknowledged],
    ledgers: slots.flatMap(({ name, ledger }) =>
      ledger === undefined ? [] : { slot: name.slot, epoch: ledger.epoch, chunk: ledger.chunk }
    ),
    ...(lineage === 1 ? {} : { lineage })
  }
}

function isPublished(outbox: StoredOutbox, slots: readonly SlotMachine[]): boolean {
  const ledger = slots[outbox.slot]?.ledger
  if (ledger === undefined) return false
  return ledger.epoch > outbox.epoch || (ledger.epoch === outbox.epoch && ledger.chunk >= outbox.chunks.length - 1)
}
