/** Changes what a run left behind, consistently in all but one thing, so that only the checker of that thing can notice. */
import { defineActor } from '../../actors/definition.ts'
import type { StoredActorSchema } from '../../actors/definition-types.ts'
import { encodeManifest, type Manifest, type StateFileRef } from '../../checkpoint/manifest.ts'
import { readStateFile, SortedStateFileWriter, openStateFile, type StateRecord } from '../../checkpoint/state-file.ts'
import { isActorRecord, readEntry } from '../../runtime/core/entry.ts'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { sha256Hex } from '../../runtime/kernel/checksum.ts'
import type { DecisionEvidence, Evidence, Publication } from '../../simulations/checkers/evidence.ts'

export function replaceAt<T>(list: readonly T[], at: number, value: T): T[] {
  return list.map((each, i) => (i === at ? value : each))
}

export function editPublication(
  evidence: Evidence,
  at: number,
  change: (publication: Publication) => Partial<Publication>
): Evidence {
  const before = evidence.publications[at] as Publication
  return { ...evidence, publications: replaceAt(evidence.publications, at, { ...before, ...change(before) }) }
}

/** Rewrites every manifest, with the chain of hashes and the decisions that name them. */
export function editManifests(evidence: Evidence, change: (manifest: Manifest) => Manifest): Evidence {
  const objects = new Map<string, Uint8Array>()
  const hashes = new Map<string, string>()
  const decisions = evidence.decisions.map((each): DecisionEvidence => {
    const { decision } = each
    if (decision.kind === 'begins' && decision.parent !== null) {
      const { epoch, hash } = decision.parent
      return { ...each, decision: { ...decision, parent: { epoch, hash: hashes.get(hash) ?? hash } } }
    }
    if (decision.kind !== 'completed') return each
    const { name, hash } = decision.manifest
    const before = JSON.parse(new TextDecoder().decode(evidence.readObject(name))) as Manifest
    const previous =
      before.previous === null
        ? null
        : { ...before.previous, hash: hashes.get(before.previous.hash) ?? before.previous.hash }
    const encoded = encodeManifest(change({ ...before, previous }))
    objects.set(name, encoded.bytes)
    hashes.set(hash, encoded.hash)
    return { ...each, decision: { ...decision, manifest: { name, hash: encoded.hash } } }
  })
  return { ...evidence, decisions, readObject: name => objects.get(name) ?? evidence.readObject(name) }
}

/** Rewrites one state file, and what manifests say of it. */
export function editFile(
  evidence: Evidence,
  name: string,
  change: (records: readonly StateRecord[]) => readonly StateRecord[]
): Evidence {
  const bytes = evidence.readObject(name) as Uint8Array
  const records = change([...readStateFile(bytes, name)])
  const writer = new SortedStateFileWriter()
  for (const keyGroup of new Set(records.map(record => record.keyGroup)))
    writer.block(
      keyGroup,
      records.filter(record => record.keyGroup === keyGroup)
    )
  const edited = writer.finish(openStateFile(bytes).meta).slice()
  const reference = (file: StateFileRef): StateFileRef =>
    file.name === name
      ? { ...file, sizeBytes: edited.length, sha256: sha256Hex(edited), records: records.length }
      : file
  const rewritten = editManifests(evidence, manifest => ({
    ...manifest,
    stages: manifest.stages.map(stage => ({ ...stage, files: stage.files.map(reference) }))
  }))
  return { ...rewritten, readObject: each => (each === name ? edited : rewritten.readObject(each)) }
}

export interface StoredActor {
  readonly file: string
  readonly record: StateRecord
  readonly fields: Record<string, unknown>
  /** Where the fields begin in the record. */
  readonly at: number
}

/** Actor records of stages that run programs, in the files of the last manifest that named each. */
export function* storedActors(evidence: Evidence): Generator<StoredActor> {
  const seen = new Set<string>()
  for (const { decision } of evidence.decisions) {
    if (decision.kind !== 'completed') continue
    const manifest = JSON.parse(new TextDecoder().decode(evidence.readObject(decision.manifest.name))) as Manifest
    for (const stage of manifest.stages) {
      const node = evidence.workload.job.plan.nodes.find(each => each.kind === 'actor' && each.name === stage.name)
      if (node?.kind !== 'actor' || node.builtIn !== undefined) continue
      if (stage.name === evidence.workload.shape.fleeting?.name) continue
      const definition = defineActor(node.actor, stage.name)
      for (const { name } of stage.files) {
        if (seen.has(name)) continue
        seen.add(name)
        for (const record of readStateFile(evidence.readObject(name) as Uint8Array, name)) {
          if (record.value === undefined || !isActorRecord(record.key)) continue
          const { schema, reader } = readEntry(record.value, stage.schemas as readonly StoredActorSchema[])
          const at = reader.offset
          yield { file: name, record, fields: definition.restore(reader, schema) as never, at }
        }
      }
    }
  }
}

/** With other fields; `timers: false` forgets its timers and alarms. */
export function editActor(
  evidence: Evidence,
  stored: StoredActor,
  change: (fields: Record<string, unknown>) => void,
  timers = true
): Evidence {
  const { record, file, at, fields } = stored
  const value = record.value as Uint8Array
  const stage = openStateFile(evidence.readObject(file) as Uint8Array).meta.stage
  const node = evidence.workload.job.plan.nodes.find(each => each.kind === 'actor' && each.name === stage)
  if (node?.kind !== 'actor') throw new TypeError('no such stage')
  change(fields)
  const writer = new ByteWriter()
  if (timers) writer.bytes(value.subarray(0, at))
  else {
    const reader = new ByteReader(value)
    writer.varuint(reader.varuint())
    writer.f64(reader.f64())
    writer.f64(reader.f64())
    writer.varuint(0)
    writer.varuint(0)
  }
  defineActor(node.actor, stage).encode(fields as never, writer)
  const edited = writer.take()
  return editFile(evidence, file, records =>
    records.map(each =>
      Buffer.from(each.key).equals(record.key) && each.value !== undefined ? { ...each, value: edited } : each
    )
  )
}
