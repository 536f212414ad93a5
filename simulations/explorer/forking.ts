/**
 * The real fork, and what finds the newest lineage, over the explored world: storage and sink as the real code knows them are made of
 * requests of the exploration. The world keeps manifests and outboxes in short; their real form stands only here.
 */
import { Actor, files, generator, job, json } from '../../actors/index.ts'
import { decodeManifest, encodeManifest, manifestFormat, type Manifest } from '../../checkpoint/manifest.ts'
import { followLineages, newestLineage, type Lineages, type OpenLineage } from '../../checkpoint/lineages.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import { readHead } from '../../checkpoint/recovery.ts'
import { findRestorePoint } from '../../checkpoint/restore-point.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { buildStageGraph, type StageGraph } from '../../runtime/core/stage-graph.ts'
import { sha256Hex } from '../../runtime/kernel/checksum.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { LogReader } from '../../runtime/ports/log.ts'
import type { LedgerEntry, Producer, Publisher, SlotName } from '../../runtime/ports/publisher.ts'
import { forkLineage, isHead } from '../../runtime/shell/fork.ts'
import type { Answer } from './log-operation.ts'
import { sinkSlot, slotCount, type Reply, type Request, type StorageRequest, type StoredManifest } from './world.ts'

type Ask = (request: Request) => Promise<Answer>

const stage = 'T'
const sink = 's'
const partition = { partition: 0, name: '0', greatestTime: null, watermark: null, finished: false }

let built: StageGraph | undefined
/** The job that the explored worker stands for. */
function theGraph(): StageGraph {
  if (built !== undefined) return built
  class T extends Actor {
    override receive(): void {
      // Nobody runs it.
    }
  }
  const numbers = generator({ count: 1 }, n => ({ n }))
  const output = files('out', json())
  const { plan } = job(
    'j',
    j => ({
      out: j
        .source('inputs', numbers)
        .keyBy(() => 'k')
        .actor(T)
        .to(sink, output)
    }),
    { slots: slotCount }
  )
  return (built = buildStageGraph(plan))
}

export function followTo(ask: Ask, nonce: () => string): Promise<OpenLineage> {
  return newestLineage(lineagesOver(ask), nonce)
}

/** As `deploy/open-lineage.ts` does it. */
export async function forkTo(ask: Ask, nonce: () => string, restore: string): Promise<OpenLineage> {
  const graph = theGraph()
  const lineages = lineagesOver(ask)
  const chain = await followLineages(lineages, nonce)
  const newest = chain.at(-1) ?? chain[0]
  const point = await findRestorePoint(chain, graph.plan.job, restore)
  const { head } = await readHead(newest.storage, graph.plan.job, nonce)
  if (isHead(point, newest, head?.manifest)) return newest
  const { storage, lineage } = newest
  const ports = {
    clock: { now: () => 0, schedule: refuse },
    storage,
    lineage,
    reader: () => oneReader,
    publishers: new Map([[sink, publisherOver(ask)]]),
    appenders: new Map(),
    nonce,
    store: refuse
  }
  return forkLineage({ graph, ports: ports as never, lineages, newest, point })
}

function refuse(): never {
  throw new Error('a fork needs nothing of the kind')
}

const oneReader: LogReader = {
  partitions: () => Promise.resolve([partition]),
  start: () => Promise.resolve(0),
  fetch: refuse,
  close: () => Promise.resolve()
}

// ---- storage

function lineagesOver(ask: Ask): Lineages {
  const known = async (request: StorageRequest): Promise<Reply> => {
    const answer = await ask(request)
    if (answer === null) throw new CodedError('STORAGE_FAILED', 'no answer in time')
    return answer
  }
  return {
    list: async () => ((await known({ op: 'lineages' })) as readonly string[]).map(Number),
    storage: lineage => storageOver(known, lineage)
  }
}

function storageOver(ask: (request: StorageRequest) => Promise<Reply>, lineage: number): CheckpointStorage {
  const where = lineage === 1 ? {} : { lineage }
  const isManifest = (name: string): boolean => name.startsWith(`${objectNames.manifests}/`)
  const read = async (name: string): Promise<string | undefined> =>
    ((await ask({ op: 'read', ...where, name })) as { readonly text?: string }).text
  return {
    create: async (name, bytes) => {
      const real = new TextDecoder().decode(bytes)
      const text = isManifest(name) ? JSON.stringify(inShort(bytes, name)) : real
      return (await ask({ op: 'create', ...where, name, text })) as 'created' | 'exists'
    },
    read: async name => {
      const text = await read(name)
      if (text === undefined || !isManifest(name)) return text === undefined ? undefined : encoded(text)
      return encodeManifest(inFull(JSON.parse(text) as StoredManifest)).bytes
    },
    readRange: async (name, offset) => {
      const text = await read(name)
      if (text === undefined) throw new CodedError('STORAGE_FAILED', `"${name}" is missing`)
      return chunkBytes((JSON.parse(text) as string[][])[offset] ?? [])
    },
    list: async folder => (await ask({ op: 'list', ...where, folder })) as readonly string[],
    remove: async name => void (await ask({ op: 'remove', ...where, names: [name] }))
  }
}

function encoded(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function chunkBytes(records: readonly string[]): Uint8Array {
  const writer = new OutboxFileWriter()
  for (const record of records)
    writer.append(sink, 0, { partition: 0, timestamp: 0, key: undefined, value: encoded(record) })
  return writer.finish().bytes
}

/** What the decision names. */
export function hashOf(stored: StoredManifest): string {
  return encodeManifest(inFull(stored)).hash
}

function inFull(stored: StoredManifest): Manifest {
  if (stored.real !== undefined) return JSON.parse(stored.real) as Manifest
  const { epoch, generation, previous, position } = stored
  const { plan } = theGraph()
  const [state] = stored.stages
  return {
    format: manifestFormat,
    job: plan.job,
    lineage: stored.lineage ?? 1,
    generation,
    epoch,
    previous: previous === null ? null : { epoch: Math.max(0, epoch - 1), hash: previous },
    final: false,
    savepointNames: [],
    savepoints: [],
    keyGroups: plan.keyGroups,
    slots: plan.slots,
    parallelism: 1,
    stages: [
      {
        name: stage,
        schemas: [],
        watermarks: [],
        finished: false,
        files: (state?.files ?? []).map(file => ({ ...fileRef(file.name, file.text), epoch, records: 1, base: true }))
      }
    ],
    sources: [{ name: 'inputs', partitions: [{ ...partition, position }] }],
    outboxes: stored.outboxes.map(({ file, slot, epoch, chunks }) => ({
      stage,
      task: slot,
      epoch,
      file: fileRef(file.name, JSON.stringify(chunks)),
      sections: [
        {
          sink,
          slot,
          chunks: chunks.map((records, i) => ({
            offset: i,
            length: 1,
            records: records.length,
            last: i === chunks.length - 1
          }))
        }
      ]
    })),
    ledgers: stored.ledgers.map(ledger => ({ sink, stage, ...ledger }))
  }
}

function fileRef(name: string, text: string): { name: string; sizeBytes: number; sha256: string } {
  const bytes = encoded(text)
  return { name, sizeBytes: bytes.length, sha256: sha256Hex(bytes) }
}

/** What an explored worker needs of a manifest that the real code made. */
function inShort(bytes: Uint8Array, name: string): StoredManifest {
  const manifest = decodeManifest(bytes, sha256Hex(bytes), name)
  const { epoch, generation, lineage, stages, sources, outboxes, ledgers } = manifest
  const position = sources[0]?.partitions[0]?.position ?? 0
  return {
    epoch,
    generation,
    lineage,
    previous: null,
    position,
    stages: stages.map(each => ({ files: each.files.map(file => ({ name: file.name, text: stateText(position) })) })),
    outboxes: outboxes.map(({ file, task, epoch, sections }) => ({
      file: { name: file.name },
      slot: task,
      epoch,
      // Its records are in a file of another lineage.
      chunks: sections.flatMap(({ chunks }) => chunks.map(() => ['?']))
    })),
    ledgers: ledgers.map(({ slot, epoch, chunk }) => ({ slot, epoch, chunk })),
    real: new TextDecoder().decode(bytes)
  }
}

export function stateText(position: number): string {
  return `position ${position}`
}

// ---- sink

export function transactionalId({ lineage, slot }: Pick<SlotName, 'lineage' | 'slot'>): string {
  return lineage === 1 ? `${slot}` : `${lineage}.${slot}`
}

function publisherOver(ask: Ask): Publisher {
  return {
    describe: () => Promise.resolve({ partitions: 1, maxRecordBytes: Infinity }),
    initialise: async name => {
      const owner = { slot: sinkSlot(name.lineage, name.slot), id: transactionalId(name) }
      const producer = await ask({ op: 'initialise', ...owner })
      if (typeof producer !== 'number') throw new CodedError('SINK_UNREACHABLE', 'no answer in time')
      return producerOver(ask, { ...owner, producer })
    },
    close: () => Promise.resolve()
  }
}

function producerOver(
  ask: Ask,
  owner: { readonly slot: number; readonly id: string; readonly producer: number }
): Producer {
  return {
    readLedger: async () =>
      ((await ask({ op: 'ledger', slot: owner.slot })) as { readonly entry?: LedgerEntry } | null)?.entry,
    publish: async (output, entry) => {
      const records = output.map(({ value }) => new TextDecoder().decode(value))
      const reply = await ask({ op: 'publish', ...owner, records, entry })
      return reply === null
        ? { kind: 'unknown', error: new Error('no answer in time') }
        : { kind: reply as 'published' | 'fenced' }
    },
    close: () => Promise.resolve()
  }
}
