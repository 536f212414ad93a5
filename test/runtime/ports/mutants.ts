/** Runs a conformance suite against an implementation with a planted bug: `node mutants.js <name>` must fail for every name. */
import t from 'tap'
import { GeneratorReader } from '../../../runtime/adapters/generator-reader.ts'
import type { Fetched, LogReader, RecordBatch } from '../../../runtime/ports/log.ts'
import type { Producer, Publisher } from '../../../runtime/ports/publisher.ts'
import { MemoryPublisher } from '../../../simulations/memory-publisher.ts'
import { testLogReader, type LogCapabilities } from './log-conformance.ts'
import { testPublisher, type PublisherCapabilities } from './publisher-conformance.ts'

type MutatePublisher = (truth: MemoryPublisher) => Publisher['initialise']

/** `none` is the control: it passes. */
const publishers = {
  none: truth => slot => truth.initialise(slot),
  'publishes twice': truth => async slot => {
    const producer = await truth.initialise(slot)
    return { ...producer, publish: (records, entry) => producer.publish([...records, ...records], entry) }
  },
  'loses the last record': truth => async slot => {
    const producer = await truth.initialise(slot)
    return { ...producer, publish: (records, entry) => producer.publish(records.slice(0, -1), entry) }
  },
  'ledger without chunk': truth => async slot => {
    const producer = await truth.initialise(slot)
    return { ...producer, publish: (records, entry) => producer.publish(records, { ...entry, chunk: 0 }) }
  },
  'does not fence': truth => {
    const producers = new Map<string, Promise<Producer>>()
    return slot => {
      const name = JSON.stringify(slot)
      const known = producers.get(name) ?? truth.initialise(slot)
      producers.set(name, known)
      return known
    }
  },
  'one ledger for all slots': truth => slot => truth.initialise({ ...slot, slot: 0 }),
  'publishes, then says fenced': truth => async slot => {
    const producer = await truth.initialise(slot)
    return {
      ...producer,
      publish: async (records, entry) => {
        const outcome = await producer.publish(records, entry)
        if (outcome.kind === 'fenced') truth.records.push(...records)
        return outcome
      }
    }
  }
} satisfies Record<string, MutatePublisher>

type MutateReader = (got: Fetched, position: number) => Fetched

const changed = (batch: RecordBatch, change: Partial<RecordBatch>): RecordBatch => ({
  count: batch.count,
  sizeBytes: batch.sizeBytes,
  offset: i => batch.offset(i),
  timestamp: i => batch.timestamp(i),
  key: i => batch.key(i),
  value: i => batch.value(i),
  valueObject: i => batch.valueObject?.(i),
  ...change
})

const readers = {
  none: got => got,
  'loses a record of a batch': got =>
    got.kind === 'records' ? { ...got, batch: changed(got.batch, { count: Math.max(1, got.batch.count - 1) }) } : got,
  'gives a record twice': got =>
    got.kind === 'records' && got.batch.count > 1 ? { ...got, next: got.batch.offset(got.batch.count - 1) } : got,
  'gives one position to all': got =>
    got.kind === 'records' ? { ...got, batch: changed(got.batch, { offset: () => got.batch.offset(0) }) } : got,
  'never finishes': (got, position) => (got.kind === 'finished' ? { kind: 'caught-up', next: position } : got),
  'hides that it lost its end': (got, position) =>
    got.kind === 'out-of-range' ? { kind: 'caught-up', next: position } : got
} satisfies Record<string, MutateReader>

export const mutants = [
  ...Object.keys(publishers).map(name => `publisher: ${name}`),
  ...Object.keys(readers).map(name => `reader: ${name}`)
]

const memory: PublisherCapabilities = {
  fencing: 'by-owner',
  partitions: 1,
  wholeRecords: true,
  shared: false,
  checksPartitions: false
}

async function runPublisher(mutate: MutatePublisher): Promise<void> {
  await testPublisher(t, memory, async () => {
    const truth = new MemoryPublisher()
    const initialise = mutate(truth)
    return {
      publisher: () => ({ describe: () => truth.describe(), initialise, close: () => truth.close() }),
      seen: async () =>
        truth.records.map(({ partition, timestamp, key, value }) => ({
          partition,
          timestamp,
          key: key === undefined ? undefined : new TextDecoder().decode(key),
          value: new TextDecoder().decode(value)
        }))
    }
  })
}

async function runReader(mutate: MutateReader): Promise<void> {
  const able: LogCapabilities = { bounded: true, gaveUp: true, outOfRange: true, limited: false, partitions: 2 }
  await testLogReader(t, able, async (_t, texts) => ({
    reader: () => {
      const make = (sequence: number, partition: number): string => texts[partition]?.[sequence] ?? ''
      const truth = new GeneratorReader({ partitions: 2, count: texts[0]?.length ?? 0, make })
      const fetch: LogReader['fetch'] = async (partition, position) =>
        mutate(await truth.fetch(partition, position), position)
      return { partitions: () => truth.partitions(), start: () => truth.start(), fetch, close: () => truth.close() }
    },
    text: (batch, i) => String(batch.valueObject?.(i))
  }))
}

const [kind, name = ''] = process.argv[2]?.split(': ') ?? []
if (kind === 'publisher') await runPublisher((publishers as Record<string, MutatePublisher>)[name] as MutatePublisher)
if (kind === 'reader') await runReader((readers as Record<string, MutateReader>)[name] as MutateReader)
