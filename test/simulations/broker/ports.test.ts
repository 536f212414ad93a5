/** The ports over the simulated log keep what every port promises. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { BrokerClient } from '../../../simulations/broker/broker-client.ts'
import { BrokerCluster } from '../../../simulations/broker/broker-cluster.ts'
import { BrokerPublisher } from '../../../simulations/broker/broker-publisher.ts'
import { BrokerReader } from '../../../simulations/broker/broker-reader.ts'
import type { BrokerOptions } from '../../../simulations/broker/world.ts'
import { testLogReader, type LogCapabilities, type MakeLog } from '../../runtime/ports/log-conformance.ts'
import { testPublisher } from '../../runtime/ports/publisher-conformance.ts'
import { Heap } from './heap.ts'

const at = (callback: () => void): void => callback()
const decoder = new TextDecoder()
const text = (bytes: Uint8Array | undefined): string => decoder.decode(bytes)

function makeCluster(options: Partial<BrokerOptions> = {}): { cluster: BrokerCluster; client: () => BrokerClient } {
  const world = new Heap()
  const cluster = new BrokerCluster({ world, prng: new Prng(7), ...options })
  return { cluster, client: () => new BrokerClient(cluster, world.clock, at) }
}

for (const transactionVersion of [1, 2] as const)
  for (const firstProducerEpoch of [0, 32_760])
    void t.test(`publisher, transaction version ${transactionVersion}, from epoch ${firstProducerEpoch}`, t =>
      testPublisher(
        t,
        { fencing: 'by-owner', partitions: 3, wholeRecords: true, shared: true, checksPartitions: true },
        async () => {
          const { cluster, client } = makeCluster({ transactionVersion, firstProducerEpoch })
          cluster.createTopic('out', { partitions: 3, maxBatchBytes: 2_000_000 })
          cluster.createTopic('ledger', { partitions: 40, compacted: true })
          return {
            publisher: () => new BrokerPublisher(client(), { topic: 'out', ledgerTopic: 'ledger', transactionVersion }),
            seen: async () => {
              while (cluster.coordinator.undecidedMarkers > 0) await client().pause(10)
              return cluster.committed('out').map(({ partition, timestamp, key, value }) => ({
                partition,
                timestamp,
                key: key === undefined ? undefined : text(key),
                value: text(value)
              }))
            },
            fail: when =>
              cluster.inject(
                when === 'after'
                  ? { kind: 'lost-reply', request: 'EndTxn', rate: 1 }
                  : { kind: 'error', request: 'EndTxn', rate: 1, error: 'UNKNOWN_SERVER_ERROR' },
                1_000_000
              ),
            reopen: async () => cluster.heal()
          }
        }
      )
    )

const able: LogCapabilities = { bounded: false, gaveUp: true, outOfRange: true, limited: true, partitions: 3 }

const makeLog =
  (aborted: boolean): MakeLog =>
  async (_t, texts) => {
    const { cluster, client } = makeCluster()
    cluster.createTopic('texts', { partitions: texts.length })
    const encoder = new TextEncoder()
    const append = (partition: number, list: readonly string[], producerId = -1): Promise<void> => {
      const records = list.map(each => ({ timestamp: 0, key: undefined, value: encoder.encode(each) }))
      const sizeBytes = records.reduce((sum, { value }) => sum + value.length, 61)
      const transactional = producerId >= 0
      const batch = { topic: 'texts', partition, producerId, producerEpoch: 0, baseSequence: 0, sizeBytes }
      return new Promise((resolve, reject) =>
        cluster
          .partition({ topic: 'texts', partition })
          ?.append({ ...batch, transactional, records }, undefined, error =>
            error === 'NONE' ? resolve() : reject(new Error(error))
          )
      )
    }
    const mark = (partition: number, producerId: number, commit: boolean): Promise<void> =>
      new Promise(resolve =>
        cluster.partition({ topic: 'texts', partition })?.mark(producerId, 0, commit, () => resolve())
      )
    let producerId = 5
    for (const [partition, list] of texts.entries())
      for (let i = 0; i < list.length; i += 16)
        if (!aborted) await append(partition, list.slice(i, i + 16))
        else {
          const [good, bad] = [producerId++, producerId++]
          await append(partition, ['never seen', 'never seen'], bad)
          await append(partition, list.slice(i, i + 16), good)
          await mark(partition, bad, false)
          await mark(partition, good, true)
        }
    return {
      reader: () => new BrokerReader(client(), 'texts'),
      text: (batch, i) => text(batch.value(i)),
      append: (partition, each) => append(partition, [each])
    }
  }

void t.test('reader', t => testLogReader(t, able, makeLog(false)))
void t.test('reader of transactions', t => testLogReader(t, { ...able, outOfRange: false }, makeLog(true)))
