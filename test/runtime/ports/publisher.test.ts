/** Every publisher against the rules of the port. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { nodeFiles } from '../../../checkpoint/adapters/node-files.ts'
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import { FilesPublisher } from '../../../runtime/adapters/files-publisher.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import type { Files } from '../../../runtime/ports/files.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { MemoryPublisher } from '../../../simulations/memory-publisher.ts'
import { testPublisher, type PublisherCapabilities, type PublisherSubject, type Seen } from './publisher-conformance.ts'

const decoder = new TextDecoder()

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-publisher-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function seenIn(log: EmbeddedLog, topic: string): Promise<Seen[]> {
  const seen: Seen[] = []
  const reader = log.reader(topic)
  for (let partition = 0; partition < (log.topic(topic)?.partitions ?? 0); partition++)
    for (let position = 0; ;) {
      const got = await reader.fetch(partition, position, 1 << 20, 0)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) {
        const key = got.batch.key(i)
        seen.push({
          partition,
          timestamp: got.batch.timestamp(i),
          key: key === undefined ? undefined : decoder.decode(key),
          value: decoder.decode(got.batch.value(i)),
          headers: got.batch.headers?.(i)
        })
      }
      position = got.next
    }
  return seen
}

const openLog = (folder: string): Promise<EmbeddedLog> => EmbeddedLog.open(join(folder, 'log'), nodeClock)

/** LevelDB's next batch throws, before or after it was written. */
function failNextBatch(log: EmbeddedLog, when: 'before' | 'after'): void {
  const { database } = log.store
  const batch = database.batch.bind(database) as unknown as (...args: unknown[]) => Promise<void>
  const failing = async (...args: unknown[]): Promise<void> => {
    if (when === 'after') await batch(...args)
    throw new Error('the disk is gone')
  }
  Object.assign(database, { batch: failing })
}

void t.test('embedded log', t =>
  testPublisher(
    t,
    { fencing: 'by-owner', partitions: 3, wholeRecords: true, shared: true, checksPartitions: true, headers: true },
    async t => {
      const folder = folderOf(t)
      let log = await openLog(folder)
      t.teardown(() => log.close())
      return {
        publisher: () => log.publisher('out', { partitions: 3 }),
        seen: () => seenIn(log, 'out'),
        fail: when => failNextBatch(log, when),
        reopen: async () => {
          await log.close()
          log = await openLog(folder)
        }
      }
    }
  )
)

const byContent: PublisherCapabilities = {
  fencing: 'by-content',
  partitions: 1,
  wholeRecords: false,
  shared: true,
  checksPartitions: false
}

/** The hard link fails before it is made, or the folder cannot be synced after it. */
function filesSubject(files: Files, folder: string): PublisherSubject {
  let failing: 'before' | 'after' | undefined
  const fail = (): never => {
    throw new Error('the disk is gone')
  }
  const faulty = Object.create(files) as Files
  faulty.link = async (from, to) => (failing === 'before' ? fail() : files.link(from, to))
  faulty.syncFolder = async path => (failing === 'after' ? fail() : files.syncFolder(path))
  return {
    publisher: () => new FilesPublisher(faulty, folder),
    seen: async () => {
      const seen: Seen[] = []
      for (const name of (await files.list(folder)).filter(each => each.endsWith('.ndjson')))
        for (const value of decoder
          .decode(await files.read(join(folder, name)))
          .split('\n')
          .slice(0, -1))
          seen.push({ partition: 0, timestamp: 0, key: undefined, value })
      return seen
    },
    fail: when => (failing = when),
    reopen: async () => (failing = undefined)
  }
}

void t.test('files', t => testPublisher(t, byContent, async t => filesSubject(nodeFiles, join(folderOf(t), 'out'))))
void t.test('files in memory', t => testPublisher(t, byContent, async () => filesSubject(new MemoryFiles(), '/out')))

void t.test("the driver's own", t =>
  testPublisher(
    t,
    { fencing: 'by-owner', partitions: 1, wholeRecords: true, shared: false, checksPartitions: false },
    async () => {
      const publisher = new MemoryPublisher()
      return {
        publisher: () => publisher,
        seen: async () =>
          publisher.records.map(({ partition, timestamp, key, value }) => ({
            partition,
            timestamp,
            key: key === undefined ? undefined : decoder.decode(key),
            value: decoder.decode(value)
          }))
      }
    }
  )
)
