/** The state of a user's job in its decided checkpoints: decoded from what was stored, one stage and key at a time. */
import { defineActor } from '../../actors/definition.ts'
import type { ActorDefinition, StoredActorSchema } from '../../actors/definition-types.ts'
import { decodeMapKey } from '../../actors/map-entries.ts'
import type { ActorNode, Plan } from '../../actors/plan.ts'
import { decodeValue } from '../../actors/state-codec.ts'
import type { Manifest, StateFileRef } from '../../checkpoint/manifest.ts'
import { prefixDelete, readStateFile, type StateRecord } from '../../checkpoint/state-file.ts'
import type { CheckpointStep, CheckpointVisitor } from '../checkers/checkpoint-walk.ts'
import type { RunEvidence, Violation } from '../checkers/evidence.ts'
import { fieldsOfRecord, isActorRecord, keyOfRecord } from '../../runtime/core/entry.ts'
import { ByteReader } from '../../runtime/kernel/bytes.ts'
import { decodeKey, keyText, type Key } from '../../runtime/kernel/keys.ts'
import { readEscaped } from '../../runtime/kernel/ordered-bytes.ts'

type Fields = Record<string, unknown>

interface LiveKey {
  readonly key: Key
  record: Uint8Array | undefined
  readonly maps: Map<string, Map<string | number, unknown>>
}

/** Actors that the user wrote; windows and dedupe keep what is theirs to themselves. */
export function stageStates(plan: Plan): StageState[] {
  return plan.nodes
    .filter((node): node is ActorNode => node.kind === 'actor' && node.builtIn === undefined)
    .map(node => new StageState(node))
}

/** Takes stages from checkpoint to checkpoint. */
export class StatesWalk implements CheckpointVisitor {
  private readonly evidence: Pick<RunEvidence, 'readObject'>
  private readonly stages: readonly StageState[]
  private readonly look: (stage: StageState, epoch: number) => void

  /** @param look sees each stage as it is in each checkpoint */
  constructor(
    evidence: Pick<RunEvidence, 'readObject'>,
    stages: readonly StageState[],
    look: (stage: StageState, epoch: number) => void = () => undefined
  ) {
    this.evidence = evidence
    this.stages = stages
    this.look = look
  }

  visit({ manifest }: CheckpointStep): void {
    for (const stage of this.stages) {
      stage.advance(manifest, this.evidence.readObject)
      this.look(stage, manifest.epoch)
    }
  }
  end(): Violation[] {
    return []
  }
}

export class StageState {
  readonly node: ActorNode
  /** Of the newest checkpoint. */
  readonly changed = new Set<string>()
  private readonly definition: ActorDefinition
  private readonly live = new Map<string, LiveKey>()
  private files: readonly StateFileRef[] = []
  private schemas: readonly StoredActorSchema[] = []

  constructor(node: ActorNode) {
    this.node = node
    this.definition = defineActor(node.actor, node.name)
  }

  get keys(): string[] {
    return [...this.live.keys()]
  }

  keyOf(text: string): Key | undefined {
    return this.live.get(text)?.key
  }

  /** Durable maps as plain ones. */
  fields(text: string): Fields | undefined {
    const live = this.live.get(text)
    if (live?.record === undefined) return undefined
    const fields: Fields = { ...fieldsOfRecord(live.record, this.schemas, this.definition) }
    for (const name of this.definition.durableMaps) fields[name] = live.maps.get(name) ?? new Map()
    return fields
  }

  /** To be called with each decided checkpoint, in order. */
  advance(manifest: Manifest, readObject: (name: string) => Uint8Array | undefined): void {
    this.changed.clear()
    const stored = manifest.stages.find(({ name }) => name === this.node.name)
    if (stored === undefined) return
    this.schemas = stored.schemas as readonly StoredActorSchema[]
    const grown = this.files.every((file, i) => file.name === stored.files[i]?.name)
    if (!grown) {
      for (const key of this.live.keys()) this.changed.add(key)
      this.live.clear()
    }
    for (const { name } of stored.files.slice(grown ? this.files.length : 0)) {
      const bytes = readObject(name)
      if (bytes !== undefined) for (const record of readStateFile(bytes, name)) this.apply(record)
    }
    this.files = stored.files
  }

  private apply({ key, value }: StateRecord): void {
    if (key[0] === prefixDelete) {
      const { live, field } = this.entryOf(key.subarray(1))
      live.maps.delete(field)
      return this.dropEmpty(live)
    }
    if (isActorRecord(key)) {
      const live = this.touch(keyOfRecord(key))
      live.record = value
      return this.dropEmpty(live)
    }
    if (!isMapRecord(key)) return
    const { live, field, mapKey } = this.entryOf(key)
    const map = live.maps.get(field) ?? new Map<string | number, unknown>()
    live.maps.set(field, map)
    if (value === undefined) map.delete(mapKey)
    else map.set(mapKey, mapValue(value))
    this.dropEmpty(live)
  }

  /** kind · actor's key · field · map key */
  private entryOf(key: Uint8Array): {
    readonly live: LiveKey
    readonly field: string
    readonly mapKey: string | number
  } {
    const reader = new ByteReader(key, 1)
    const live = this.touch(readEscaped(reader))
    const field = new TextDecoder().decode(readEscaped(reader))
    return { live, field, mapKey: reader.remaining === 0 ? '' : decodeMapKey(reader.bytes(reader.remaining)) }
  }

  private touch(keyBytes: Uint8Array): LiveKey {
    const key = decodeKey(keyBytes)
    const text = keyText(key)
    this.changed.add(text)
    let live = this.live.get(text)
    if (live === undefined) this.live.set(text, (live = { key, record: undefined, maps: new Map() }))
    return live
  }

  private dropEmpty(live: LiveKey): void {
    if (live.record === undefined && [...live.maps.values()].every(map => map.size === 0))
      this.live.delete(keyText(live.key))
  }
}

const mapKind = 0x6d
/** Others are messages under way. */
const isMapRecord = (key: Uint8Array): boolean => key[0] === mapKind

/** until · value */
function mapValue(value: Uint8Array): unknown {
  const reader = new ByteReader(value)
  reader.f64()
  return decodeValue(reader)
}
