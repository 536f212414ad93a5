/**
 * Goes through the decided checkpoints in order and decodes what each changed, once for all checkers that look at checkpoints.
 * Decodes from what was stored, with the readers that a recovery uses; keeps the live records of every stage.
 */
import { defineActor } from '../../actors/definition.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import { decodeMapKey } from '../../actors/map-entries.ts'
import { decodeValue } from '../../actors/state-codec.ts'
import type { Completed } from '../../checkpoint/decision-log.ts'
import { decodeManifest, type FileRef, type Manifest, type StateFileRef } from '../../checkpoint/manifest.ts'
import { decodeChunk } from '../../checkpoint/outbox-file.ts'
import { prefixDelete, readStateFile, type StateRecord } from '../../checkpoint/state-file.ts'
import {
  fieldsOfRecord,
  isActorRecord,
  keyOfRecord,
  timersOfRecord,
  type IndexedTimer
} from '../../runtime/core/entry.ts'
import { decodeMessage, isRecordedMessage } from '../../runtime/core/recorded-messages.ts'
import { ByteReader, latin1OfBytes } from '../../runtime/kernel/bytes.ts'
import { sha256Hex } from '../../runtime/kernel/checksum.ts'
import { decodeKey, encodeKey, keyGroupOf } from '../../runtime/kernel/keys.ts'
import { readEscaped } from '../../runtime/kernel/ordered-bytes.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { Item } from '../workload/program.ts'
import type { StageShape } from '../workload/shape.ts'
import type { Evidence, RunEvidence, Violation } from './evidence.ts'

/** One chunk of an outbox: what one publication must hold. */
export interface OutboxPart {
  readonly sink: string
  readonly stage: string
  readonly slot: number
  readonly epoch: number
  readonly chunk: number
  readonly records: readonly OutputRecord[]
}

export interface KeyState {
  readonly fields: Readonly<Record<string, unknown>> | undefined
  readonly timers: readonly IndexedTimer[]
  readonly map: ReadonlyMap<string, number>
}

/** One decided checkpoint. */
export interface CheckpointStep {
  readonly completed: Completed
  readonly sequence: number
  readonly manifest: Manifest
  /** By index of the stage in the shape. */
  readonly stages: readonly StageView[]
  /** What it added to the outboxes. */
  readonly outbox: readonly OutboxPart[]
}

interface LiveKey {
  record: Uint8Array | undefined
  readonly map: Map<string, number>
}

/** Live records of one stage. */
export class StageView<S extends { readonly name: string } = StageShape> {
  readonly shape: S
  /** Keys whose records changed with the newest checkpoint. */
  readonly changed = new Set<string>()
  /** Messages to this stage that the newest checkpoint recorded under way. */
  readonly recorded = new Map<string, Item>()
  /** By version of the fields, oldest first. */
  private readonly definitions: readonly ActorDefinition[]
  private readonly live = new Map<string, LiveKey>()
  private files: readonly StateFileRef[] = []
  private schemas: readonly StoredActorSchema[] = []
  private watermarks: readonly (number | null)[] = []
  private finished = false
  private readonly slotOf = new Map<string, number>()

  constructor(shape: S, ...definitions: readonly ActorDefinition[]) {
    this.shape = shape
    this.definitions = definitions
  }

  get keys(): IterableIterator<string> {
    return this.live.keys()
  }

  stateOf(key: string): KeyState | undefined {
    const live = this.live.get(key)
    if (live === undefined) return undefined
    const { record, map } = live
    return {
      fields:
        record === undefined
          ? undefined
          : (fieldsOfRecord(record, this.schemas, this.newest) as unknown as Record<string, unknown>),
      timers: record === undefined ? [] : timersOfRecord(record),
      map
    }
  }

  /** What reads all versions that are stored. */
  private get newest(): ActorDefinition {
    const version = Math.max(...this.schemas.map(schema => schema.version))
    const found = this.definitions.find(({ schema }) => schema.version >= version) ?? this.definitions.at(-1)
    return found as ActorDefinition
  }

  /** Up to where event time has got for the key in the newest checkpoint. */
  watermarkOf(key: string, { keyGroups, slots }: { readonly keyGroups: number; readonly slots: number }): number {
    if (this.finished) return Infinity
    let slot = this.slotOf.get(key)
    if (slot === undefined) this.slotOf.set(key, (slot = keyGroupOf(encodeKey(key), keyGroups) % slots))
    return this.watermarks[slot] ?? -Infinity
  }

  advance(manifest: Manifest, read: (file: FileRef) => Uint8Array | undefined): void {
    const stored = manifest.stages.find(({ name }) => name === this.shape.name)
    this.changed.clear()
    if (stored === undefined) return
    this.schemas = stored.schemas as readonly StoredActorSchema[]
    this.watermarks = stored.watermarks
    this.finished = stored.finished
    const extends_ = this.files.every((file, i) => file.name === stored.files[i]?.name)
    if (!extends_) {
      for (const key of this.live.keys()) this.changed.add(key)
      this.live.clear()
      this.recorded.clear()
    }
    for (const file of stored.files.slice(extends_ ? this.files.length : 0)) {
      const bytes = read(file)
      if (bytes !== undefined) for (const record of readStateFile(bytes, file.name)) this.apply(record)
    }
    this.files = stored.files
  }

  private apply({ keyGroup, key, value }: StateRecord): void {
    if (isRecordedMessage(key)) {
      const place = `${keyGroup}/${latin1OfBytes(key)}`
      if (value === undefined) this.recorded.delete(place)
      else this.recorded.set(place, decodeMessage(value).value as Item)
      return
    }
    if (key[0] === prefixDelete) {
      const name = actorOfMapRecord(key.subarray(1)).actor
      this.keyOf(name).map.clear()
      return this.dropEmpty(name)
    }
    if (isActorRecord(key)) {
      const name = decodeKey(keyOfRecord(key)) as string
      this.keyOf(name).record = value
      return this.dropEmpty(name)
    }
    const { actor, mapKey } = actorOfMapRecord(key)
    const { map } = this.keyOf(actor)
    if (value === undefined) map.delete(mapKey)
    else map.set(mapKey, mapValue(value))
    this.dropEmpty(actor)
  }

  private keyOf(name: string): LiveKey {
    this.changed.add(name)
    let live = this.live.get(name)
    if (live === undefined) this.live.set(name, (live = { record: undefined, map: new Map() }))
    return live
  }
  private dropEmpty(name: string): void {
    const live = this.live.get(name)
    if (live?.record === undefined && live?.map.size === 0) this.live.delete(name)
  }
}

/** kind · actor's key · field · map key */
function actorOfMapRecord(key: Uint8Array): { readonly actor: string; readonly mapKey: string } {
  const reader = new ByteReader(key, 1)
  const actor = decodeKey(readEscaped(reader)) as string
  readEscaped(reader)
  return { actor, mapKey: reader.remaining === 0 ? '' : String(decodeMapKey(reader.bytes(reader.remaining))) }
}

function mapValue(value: Uint8Array): number {
  const reader = new ByteReader(value)
  reader.f64()
  return decodeValue(reader) as number
}

/** Looks at each checkpoint, and says in the end what was wrong. */
export interface CheckpointVisitor {
  visit(step: CheckpointStep): void
  end(): Violation[]
}

/** The stages of a workload, before its first checkpoint. */
export function stageViews({ workload }: Evidence): StageView[] {
  const [first, second] = [workload.job, workload.upgraded].map(
    ({ plan }) =>
      new Map(
        plan.nodes.flatMap(node => (node.kind === 'actor' ? [[node.name, defineActor(node.actor, node.name)]] : []))
      )
  ) as [Map<string, ActorDefinition>, Map<string, ActorDefinition>]
  return workload.shape.stages.map(shape => {
    const [before, after] = [first.get(shape.name), second.get(shape.name)] as [ActorDefinition, ActorDefinition]
    return new StageView(shape, before, after)
  })
}

/** What could not be read, in sentences; the walk goes on without it. */
export function walkCheckpoints(
  evidence: RunEvidence,
  stages: readonly StageView[],
  visitors: readonly CheckpointVisitor[]
): Violation[] {
  const unreadable: Violation[] = []
  const known = new Set<string>()
  for (const { decision, sequence } of evidence.decisions) {
    if (decision.kind !== 'completed') continue
    const where = `checkpoint ${decision.epoch} (decision ${sequence})`
    const manifest = readManifest(evidence, decision, where, unreadable)
    if (manifest === undefined) continue
    const read = (file: FileRef): Uint8Array | undefined => readFile(evidence, file, where, unreadable)
    try {
      for (const stage of stages) stage.advance(manifest, read)
      const outbox = outboxParts(manifest, known, read)
      for (const visitor of visitors) visitor.visit({ completed: decision, sequence, manifest, stages, outbox })
    } catch (error) {
      unreadable.push(`${where} cannot be decoded: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return unreadable
}

function readManifest(
  evidence: RunEvidence,
  decision: Completed,
  where: string,
  unreadable: Violation[]
): Manifest | undefined {
  const { name, hash } = decision.manifest
  const bytes = evidence.readObject(name)
  if (bytes === undefined) {
    unreadable.push(`${where} names manifest "${name}", which was never stored`)
    return undefined
  }
  try {
    return decodeManifest(bytes, hash, name)
  } catch (error) {
    unreadable.push(`${where}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

function readFile(
  evidence: RunEvidence,
  file: FileRef,
  where: string,
  unreadable: Violation[]
): Uint8Array | undefined {
  const bytes = evidence.readObject(file.name)
  if (bytes === undefined) unreadable.push(`${where} names file "${file.name}", which was never stored`)
  else if (bytes.length !== file.sizeBytes || sha256Hex(bytes) !== file.sha256)
    unreadable.push(`${where}: file "${file.name}" is not the one that was acknowledged, by size or SHA-256`)
  return bytes
}

/** Of the outbox files that no earlier manifest named. */
function outboxParts(
  manifest: Manifest,
  known: Set<string>,
  read: (file: FileRef) => Uint8Array | undefined
): OutboxPart[] {
  const parts: OutboxPart[] = []
  for (const { stage, epoch, file, sections } of manifest.outboxes) {
    if (known.has(file.name)) continue
    known.add(file.name)
    const bytes = read(file)
    if (bytes === undefined) continue
    for (const { sink, slot, chunks } of sections)
      chunks.forEach(({ offset, length }, chunk) => {
        const records = decodeChunk(bytes.subarray(offset, offset + length), file.name)
        parts.push({ sink, stage, slot, epoch, chunk, records })
      })
  }
  return parts
}
