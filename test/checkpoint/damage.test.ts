import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { decodeChunk, OutboxFileWriter } from '../../checkpoint/outbox-file.ts'
import { readStateFile, StateFileWriter } from '../../checkpoint/state-file.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
let nonces = 0
const nonce = (): string => `n${nonces++}`

/** Every truncation and every flipped bit. */
function* damages(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length)
  for (let i = 0; i < bytes.length; i++)
    for (let bit = 0; bit < 8; bit++) {
      const flipped = bytes.slice()
      flipped[i] = (flipped[i] as number) ^ (1 << bit)
      yield flipped
    }
}

void t.test('a state file that was cut or changed anywhere is never read as state', t => {
  const writer = new StateFileWriter()
  writer.add(7, bytesOf('aDFW'), bytesOf('value'))
  writer.add(9, bytesOf('aATL'), undefined)
  const bytes = writer.finish({ job: 'j', lineage: 1, generation: 1, epoch: 1, stage: 's' })
  t.equal([...readStateFile(bytes, 'f')].length, 2)
  let tried = 0
  for (const damaged of damages(bytes)) {
    tried++
    try {
      for (const record of readStateFile(damaged, 'f')) void record
      t.fail('read damaged bytes')
    } catch (error) {
      const { code = '' } = error as { code?: string }
      if (!['CORRUPT', 'FORMAT_NEWER'].includes(code)) throw error
    }
  }
  t.ok(tried > 300)
  t.end()
})

void t.test('an outbox chunk that was cut or changed anywhere is never published', t => {
  const writer = new OutboxFileWriter()
  const headers = [
    { name: 'traceparent', value: bytesOf('ü') },
    { name: '', value: undefined }
  ]
  const record = { partition: 1, timestamp: 5, key: bytesOf('k'), value: bytesOf('v'), headers }
  writer.append('s', 3, record)
  const { bytes, sections } = writer.finish()
  t.match(sections, [{ sink: 's', slot: 3, chunks: [{ records: 1, last: true }] }])
  t.same(decodeChunk(bytes, 'f'), [record])
  for (const damaged of damages(bytes)) t.throws(() => decodeChunk(damaged, 'f'), { code: 'CORRUPT' })
  t.end()
})

function storage(t: { teardown(end: () => Promise<void>): void }): CheckpointStorage {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return new DirectoryStorage(nodeFiles, folder)
}

void t.test('only one of two writers wins an entry of the decision log, and the other is told who', async t => {
  const store = storage(t)
  const [a, b] = [await DecisionLog.open(store, nonce), await DecisionLog.open(store, nonce)]
  t.same(await a.append({ kind: 'leads', worker: 'a', generation: 1 }), { kind: 'appended' })
  t.same(await b.append({ kind: 'leads', worker: 'b', generation: 1 }), {
    kind: 'lost',
    winner: { kind: 'leads', worker: 'a', generation: 1 }
  })
})

void t.test('a decision whose outcome was unknown is found again by its nonce', async t => {
  const store = storage(t)
  let lost = true
  const log = await DecisionLog.open(
    {
      create: async (name, bytes) => {
        const outcome = await store.create(name, bytes)
        if (!lost) return outcome
        lost = false
        throw new Error('the reply was lost')
      },
      read: name => store.read(name),
      readRange: (name, offset, length) => store.readRange(name, offset, length),
      list: folder => store.list(folder),
      remove: name => store.remove(name)
    },
    nonce
  )
  t.same(await log.append({ kind: 'leads', worker: 'a', generation: 1 }), { kind: 'appended' })
  t.equal(log.entries.length, 1)
})

void t.test('a missing decision before a later one is named, not skipped', async t => {
  const store = storage(t)
  const log = await DecisionLog.open(store, nonce)
  await log.append({ kind: 'leads', worker: 'a', generation: 1 })
  await log.append({ kind: 'leads', worker: 'b', generation: 2 })
  await log.append({ kind: 'leads', worker: 'c', generation: 3 })
  for (const lost of [1, 0]) {
    await store.remove(`decisions/00000000000${lost}`)
    await t.rejects(DecisionLog.open(store, nonce), {
      code: 'CORRUPT',
      message: new RegExp(`decision ${lost || 1} is missing`)
    })
  }
})
