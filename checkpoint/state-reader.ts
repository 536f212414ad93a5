/**
 * Reading and merging state files a key group at a time, so that neither a restore nor a merge holds a stage's whole state.
 */
import { sha256Hex } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { FileRef, StateFileRef } from './manifest.ts'
import {
  indexOffset,
  LiveRecords,
  nameFile,
  openStateFile,
  parseBlock,
  parseIndex,
  SortedStateFileWriter,
  stateFooterBytes,
  type StateFileIndex,
  type StateFileMeta,
  type StateRecord
} from './state-file.ts'
import type { CheckpointStorage } from './storage.ts'

/** Files up to this size are read whole and verified by their SHA-256; larger ones a window at a time, by block checksums. */
const windowBytes = 1024 * 1024
/** A base is cut into files of about this size: growing one larger would hold up the event loop. */
const baseFileBytes = 8 * 1024 * 1024
/** Records merged before the event loop gets a turn: about a millisecond. */
const mergeSlice = 500

/** The whole file, verified against the hash that the manifest names. */
export async function readVerified(storage: CheckpointStorage, file: FileRef, epoch: number): Promise<Uint8Array> {
  const bytes = await storage.read(file.name)
  if (bytes === undefined) throw new CodedError('RECOVERY_HALTED', `file "${file.name}" of epoch ${epoch} is missing`)
  if (bytes.length !== file.sizeBytes || sha256Hex(bytes) !== file.sha256)
    throw new CodedError(
      'CORRUPT',
      `file "${file.name}" of epoch ${epoch} is not the one that was checkpointed: size or SHA-256 differ`
    )
  return bytes
}

/** What a file must say of itself. */
export interface Origin {
  readonly job: string
  readonly lineage: number
  readonly stage: string
}

class StateFileReader {
  private readonly storage: CheckpointStorage
  private readonly file: StateFileRef
  private index: StateFileIndex | undefined
  private window: { readonly offset: number; readonly bytes: Uint8Array } | undefined
  private next = 0

  constructor(storage: CheckpointStorage, file: StateFileRef) {
    this.storage = storage
    this.file = file
  }

  async open(origin: Origin): Promise<readonly number[]> {
    const { file, storage } = this
    try {
      if (file.sizeBytes <= windowBytes) {
        const bytes = await readVerified(storage, file, file.epoch)
        this.window = { offset: 0, bytes }
        this.index = openStateFile(bytes)
      } else {
        const footer = await storage.readRange(file.name, file.sizeBytes - stateFooterBytes, stateFooterBytes)
        const start = indexOffset(footer, file.sizeBytes)
        this.index = parseIndex(await storage.readRange(file.name, start, file.sizeBytes - start), file.sizeBytes)
      }
      const { meta } = this.index
      if (
        meta.job !== (file.job ?? origin.job) ||
        meta.lineage !== (file.lineage ?? origin.lineage) ||
        meta.stage !== origin.stage ||
        meta.epoch !== file.epoch
      )
        throw new CodedError(
          'CORRUPT',
          `it says it is of job "${meta.job}", lineage ${meta.lineage}, stage "${meta.stage}", epoch ${meta.epoch}`
        )
    } catch (error) {
      throw nameFile(error, file.name)
    }
    return this.index.blocks.map(block => block.keyGroup)
  }

  /** The records of a key group; groups are asked for in ascending order. */
  async group(keyGroup: number): Promise<readonly StateRecord[]> {
    const blocks = this.index?.blocks ?? []
    while ((blocks[this.next]?.keyGroup ?? Infinity) < keyGroup) this.next++
    const block = blocks[this.next]
    if (block === undefined || block.keyGroup !== keyGroup) return []
    const { window } = this
    if (
      window === undefined ||
      block.offset < window.offset ||
      block.offset + block.length > window.offset + window.bytes.length
    ) {
      const length = Math.min(Math.max(windowBytes, block.length), this.file.sizeBytes - block.offset)
      this.window = { offset: block.offset, bytes: await this.storage.readRange(this.file.name, block.offset, length) }
    }
    const { offset, bytes } = this.window as NonNullable<typeof this.window>
    try {
      return parseBlock(bytes.subarray(block.offset - offset, block.offset - offset + block.length), block)
    } catch (error) {
      throw nameFile(error, this.file.name)
    }
  }
}

/** Live records by key group, ascending. `tombstones`: deletions are told too. */
export async function* mergedGroups(
  storage: CheckpointStorage,
  files: readonly StateFileRef[],
  origin: Origin,
  tombstones: boolean,
  options: {
    /** Default: all key groups. */
    readonly wanted?: (keyGroup: number) => boolean
    readonly worked?: (records: number) => Promise<void>
  } = {}
): AsyncGenerator<{ readonly keyGroup: number; readonly records: Iterable<StateRecord> }> {
  const readers: { reader: StateFileReader; groups: ReadonlySet<number> }[] = []
  for (const file of files) {
    const reader = new StateFileReader(storage, file)
    readers.push({ reader, groups: new Set(await reader.open(origin)) })
  }
  const groups = [...new Set(readers.flatMap(each => [...each.groups]))].sort((a, b) => a - b)
  for (const keyGroup of groups) {
    if (options.wanted?.(keyGroup) === false) continue
    const live = new LiveRecords(tombstones)
    for (const each of readers) {
      if (!each.groups.has(keyGroup)) continue
      const records = await each.reader.group(keyGroup)
      for (const record of records) live.apply(record)
      await options.worked?.(records.length)
    }
    yield { keyGroup, records: live.values() }
  }
}

/**
 * Merges files into new ones of bounded size; `create` stores each and answers its reference. `breathe` gives the event loop a
 * turn.
 */
export async function mergeFiles(
  storage: CheckpointStorage,
  files: readonly StateFileRef[],
  meta: StateFileMeta,
  base: boolean,
  create: (bytes: Uint8Array, records: number) => Promise<StateFileRef>,
  breathe: () => Promise<void>
): Promise<StateFileRef[]> {
  const made: StateFileRef[] = []
  let writer = new SortedStateFileWriter()
  let left = mergeSlice
  const worked = async (records: number): Promise<void> => {
    left -= records
    if (left > 0) return
    left = mergeSlice
    await breathe()
  }
  for await (const { keyGroup, records } of mergedGroups(storage, files, meta, !base, { worked })) {
    await worked(writer.block(keyGroup, records))
    if (writer.sizeBytes < baseFileBytes) continue
    made.push(await create(writer.finish(meta), writer.records))
    writer = new SortedStateFileWriter()
  }
  if (writer.records > 0) made.push(await create(writer.finish(meta), writer.records))
  // The files it replaces are given up only when what replaces them can be read back.
  for (const file of made) {
    const reader = new StateFileReader(storage, file)
    for (const keyGroup of await reader.open(meta)) await worked((await reader.group(keyGroup)).length)
  }
  return made
}
