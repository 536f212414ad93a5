/** Reads what a job has stored, without running it and without its code: checkpoints, savepoints, state. Changes nothing. */
import { randomBytes } from 'node:crypto'
import type { StoredActorSchema } from '../actors/definition-types.ts'
import { decodeValue } from '../actors/state-codec.ts'
import type { Completed } from '../checkpoint/decision-log.ts'
import { followLineages, newestLineage, type Lineages, type OpenLineage } from '../checkpoint/lineages.ts'
import { decodeManifest, type FileRef, type Manifest } from '../checkpoint/manifest.ts'
import { decodeChunk } from '../checkpoint/outbox-file.ts'
import { readHead, stageRecords } from '../checkpoint/recovery.ts'
import { savepointsOf } from '../checkpoint/restore-point.ts'
import { retainedCheckpoints } from '../checkpoint/retention.ts'
import { readStateFile } from '../checkpoint/state-file.ts'
import { readVerified } from '../checkpoint/state-reader.ts'
import type { CheckpointStorage } from '../checkpoint/storage.ts'
import { readEntry, recordKey, type StoredEntry } from '../runtime/core/entry.ts'
import {
  isQuarantineRecord,
  Quarantine,
  type QuarantineAnswer,
  type QuarantineCommand
} from '../runtime/core/quarantine.ts'
import { isMapRecord } from '../runtime/core/map-state.ts'
import { equalBytes } from '../runtime/kernel/bytes.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { encodeKey, keyGroupOf, keyIdentity, keyText, type Key } from '../runtime/kernel/keys.ts'
import type { Parked } from './quarantine.ts'
import { StoredMaps } from './stored-maps.ts'

const nonce = (): string => randomBytes(8).toString('hex')

/** Newest checkpoints that were tried, one after the other, where a job drops them faster than they can be read. */
const verifyAttempts = 5

export interface CheckpointLine {
  readonly epoch: number
  readonly generation: number
  readonly lineage: number
  readonly final: boolean
  /** `retained`: it can be restored; `dropped`: retention has removed its files. */
  readonly files: 'retained' | 'dropped' | 'damaged'
  readonly stateBytes: number | null
}

export interface SavepointLine {
  readonly name: string
  readonly lineage: number
  readonly epoch: number
}

export interface Verified {
  readonly epoch: number
  readonly files: number
  readonly records: number
  /** One sentence per damaged or missing file; [] = all is there. */
  readonly problems: readonly string[]
}

export class StoredJob {
  readonly job: string
  private readonly lineages: Lineages

  constructor(job: string, lineages: Lineages) {
    this.job = job
    this.lineages = lineages
  }

  private newest(): Promise<OpenLineage> {
    return newestLineage(this.lineages, nonce)
  }

  /** Of the newest lineage, newest first; decisions whose manifest is gone are left out, the newest one apart. */
  async checkpoints(): Promise<CheckpointLine[]> {
    const { lineage, log, storage } = await this.newest()
    const lines: CheckpointLine[] = []
    for (const decision of log.entries.filter(entry => entry.kind === 'completed').reverse()) {
      const bytes = await storage.read(decision.manifest.name)
      if (bytes === undefined && lines.length > 0) continue
      lines.push(await this.line({ lineage, storage }, decision, bytes))
    }
    return lines
  }

  private async line(
    { lineage, storage }: Pick<OpenLineage, 'lineage' | 'storage'>,
    decision: Completed,
    bytes: Uint8Array | undefined
  ): Promise<CheckpointLine> {
    const { epoch, generation, final, manifest } = decision
    const unknown = { epoch, generation, lineage, final, stateBytes: null }
    try {
      if (bytes === undefined) return { ...unknown, files: 'damaged' }
      const files = filesOf(decodeManifest(bytes, manifest.hash, manifest.name))
      const names = new Set(await namesIn(storage, files))
      const gone = files.some(file => !names.has(file.name))
      const stateBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
      return { ...unknown, files: gone ? 'dropped' : 'retained', stateBytes }
    } catch (error) {
      if (error instanceof CodedError && error.group !== 'internal') return { ...unknown, files: 'damaged' }
      throw error
    }
  }

  /** Of all lineages, newest first. */
  async savepoints(): Promise<SavepointLine[]> {
    const found = await savepointsOf(await followLineages(this.lineages, nonce), this.job)
    return found.map(({ name, lineage, epoch }) => ({ name, lineage, epoch }))
  }

  /** The manifest of a checkpoint, the newest by default. */
  async manifest(
    epoch?: number
  ): Promise<{ readonly manifest: Manifest; readonly hash: string; readonly storage: CheckpointStorage }> {
    const { storage } = await this.newest()
    const { log, head } = await readHead(storage, this.job, nonce)
    if (epoch === undefined) {
      if (head === undefined) throw new CodedError('NOT_FOUND', `job "${this.job}" has no completed checkpoint`)
      return { manifest: head.manifest, hash: head.hash, storage }
    }
    // The log is pruned, and a savepoint outlives its decision.
    const known = [...log.completed(Infinity), ...(head?.manifest.savepoints ?? [])].find(each => each.epoch === epoch)
    if (known === undefined)
      throw new CodedError('NOT_FOUND', `job "${this.job}" has no checkpoint ${epoch}; see \`cairn checkpoint list\``)
    const { name, hash } = known.manifest
    const bytes = await storage.read(name)
    if (bytes === undefined) throw new CodedError('NOT_FOUND', `the manifest "${name}" of checkpoint ${epoch} is gone`)
    return { manifest: decodeManifest(bytes, hash, name), hash, storage }
  }

  /** Reads every file of a checkpoint and decodes every record. One problem per damaged file; [] = all is there. */
  async verify(epoch?: number): Promise<Verified> {
    for (let left = verifyAttempts; ; left--) {
      const { manifest, storage } = await this.manifest(epoch)
      const verified = await verifyFiles(storage, manifest)
      // What is missing may have been dropped meanwhile, by the job that runs.
      if (verified.problems.length === 0 || (await this.isRetained(storage, manifest.epoch))) return verified
      if (epoch !== undefined || left === 1)
        throw new CodedError('NOT_FOUND', `checkpoint ${manifest.epoch} was dropped while it was read`, {
          remedy: 'Verify it when the job does not run, or verify a savepoint, which is kept.'
        })
    }
  }

  private async isRetained(storage: CheckpointStorage, epoch: number): Promise<boolean> {
    const { log, head } = await readHead(storage, this.job, nonce)
    const kept = [...log.completed(retainedCheckpoints), ...(head?.manifest.savepoints ?? [])]
    return kept.some(each => each.epoch === epoch)
  }

  /** Fields of one key as the newest checkpoint holds them, undefined when it has none. Throws NOT_FOUND for an unknown stage. */
  async state(
    stageOrActor: string,
    key: Key
  ): Promise<{ readonly fields: Record<string, unknown> | undefined; readonly epoch: number }> {
    const keyBytes = encodeKey(key)
    const { manifest, storage } = await this.manifest()
    const schemasOf = (stage: Manifest['stages'][number]): readonly StoredActorSchema[] =>
      stage.schemas as readonly StoredActorSchema[]
    const stages = manifest.stages.filter(
      stage => stage.name === stageOrActor || schemasOf(stage).some(schema => schema.actor === stageOrActor)
    )
    if (stages.length === 0)
      throw unknownStage(
        stageOrActor,
        manifest.stages.map(stage => stage.name)
      )
    const wanted = recordKey(keyBytes)
    const keyGroup = keyGroupOf(keyBytes, manifest.keyGroups)
    for (const stage of stages) {
      let fields: Record<string, unknown> | undefined
      const maps = new StoredMaps(keyBytes)
      for await (const record of stageRecords(storage, manifest, stage, group => group === keyGroup)) {
        if (record.value === undefined) continue
        if (isMapRecord(record.key)) maps.add(record.key, record.value)
        else if (equalBytes(record.key, wanted)) fields = fieldsOf(readEntry(record.value, schemasOf(stage)), maps)
      }
      if (fields !== undefined) return { fields, epoch: manifest.epoch }
    }
    return { fields: undefined, epoch: manifest.epoch }
  }

  /** Keys that the newest checkpoint holds in quarantine. Throws NOT_FOUND for an unknown stage. */
  async quarantine(only: string | undefined): Promise<{ readonly parked: readonly Parked[]; readonly epoch: number }> {
    const { manifest, storage } = await this.manifest()
    const stages = manifest.stages.map(({ name }) => name)
    if (only !== undefined) checkStage(only, stages)
    const parked: Parked[] = []
    for (const stage of manifest.stages) {
      if (only !== undefined && stage.name !== only) continue
      const quarantine = new Quarantine(stage.name)
      for await (const { key, value } of stageRecords(storage, manifest, stage, () => true))
        if (value !== undefined && isQuarantineRecord(key)) quarantine.restore(key, value, manifest.keyGroups)
      parked.push(...quarantine.lines().map(line => ({ stage: stage.name, line })))
    }
    return { parked, epoch: manifest.epoch }
  }

  /** What the newest checkpoint says of a command: its answer, or whether the key still waits. Throws NOT_FOUND for an unknown stage. */
  async operated(
    command: QuarantineCommand
  ): Promise<{ readonly answer: QuarantineAnswer | undefined; readonly parked: boolean }> {
    const { manifest, storage } = await this.manifest()
    const stage = manifest.stages.find(({ name }) => name === command.stage)
    if (stage === undefined)
      throw unknownStage(
        command.stage,
        manifest.stages.map(({ name }) => name)
      )
    const quarantine = new Quarantine(stage.name)
    const keyGroup = keyGroupOf(encodeKey(command.key), manifest.keyGroups)
    for await (const { key, value } of stageRecords(storage, manifest, stage, group => group === keyGroup))
      if (value !== undefined && isQuarantineRecord(key)) quarantine.restore(key, value, manifest.keyGroups)
    return { answer: quarantine.answerOf(command), parked: quarantine.keys.has(keyIdentity(command.key)) }
  }
}

/** Throws NOT_FOUND for a stage that is not among them. */
export function checkStage(name: string, known: readonly string[]): void {
  if (!known.includes(name)) throw unknownStage(name, known)
}

export function unknownStage(name: string, known: readonly string[]): CodedError {
  return new CodedError('NOT_FOUND', `there is no stage or actor "${name}"; there are ${known.join(', ') || 'none'}`)
}

export function noSuchKey(stage: string, key: Key): CodedError {
  return new CodedError('NOT_FOUND', `stage "${stage}" holds nothing under the key ${JSON.stringify(keyText(key))}`)
}

function fieldsOf({ schema, reader }: StoredEntry, maps: StoredMaps): Record<string, unknown> {
  const fields = {}
  for (const { name, kind } of schema.fields)
    Object.defineProperty(fields, name, {
      value: kind === 'durableMap' ? maps.field(name) : decodeValue(reader),
      enumerable: true,
      writable: true,
      configurable: true
    })
  return fields
}

function filesOf(manifest: Manifest): FileRef[] {
  return [...manifest.stages.flatMap(stage => stage.files), ...manifest.outboxes.map(ref => ref.file)]
}

async function verifyFiles(storage: CheckpointStorage, manifest: Manifest): Promise<Verified> {
  const problems: string[] = []
  let files = 0
  let records = 0
  const check = async (work: () => Promise<number>): Promise<void> => {
    files++
    try {
      records += await work()
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      problems.push(`${error.code}: ${error.message}`)
    }
  }
  for (const stage of manifest.stages)
    for (const file of stage.files)
      await check(async () => [...readStateFile(await readVerified(storage, file, file.epoch), file.name)].length)
  for (const { file, epoch, sections } of manifest.outboxes)
    await check(async () => {
      const bytes = await readVerified(storage, file, epoch)
      return sections
        .flatMap(section => section.chunks)
        .reduce(
          (sum, { offset, length }) => sum + decodeChunk(bytes.subarray(offset, offset + length), file.name).length,
          0
        )
    })
  return { epoch: manifest.epoch, files, records, problems }
}

async function namesIn(storage: CheckpointStorage, files: readonly FileRef[]): Promise<string[]> {
  const folders = new Set(files.map(file => file.name.slice(0, file.name.lastIndexOf('/'))))
  const names: string[] = []
  for (const folder of folders) for (const name of await storage.list(folder)) names.push(`${folder}/${name}`)
  return names
}
