/** The ports over the simulated log keep what every port promises. */
import t from 'tap'
import type { RecordHeader } from '../../../runtime/kernel/record-header.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { BrokerClient } from '../../../simulations/broker/broker-client.ts'
import { BrokerCluster } from '../../../simulations/broker/broker-cluster.ts'
import type { BrokerFault } from '../../../simulations/broker/faults.ts'
import { BrokerReader } from '../../../simulations/broker/broker-reader.ts'
import { testLogReader, type LogCapabilities, type MakeLog } from '../../runtime/ports/log-conformance.ts'
import { saslPlain } from '../../../runtime/kafka-protocol/connection-machine.ts'
import { testPublisher, type Seen } from '../../runtime/ports/publisher-conformance.ts'
import { WorldTime } from '../../../simulations/world/time.ts'
import { SimHost } from '../../../simulations/world/process.ts'
import { letTimePass, makePublisher, makeScene } from './scene.ts'

const at = (callback: () => void): void => callback()
const decoder = new TextDecoder()
const text = (bytes: Uint8Array | undefined): string => decoder.decode(bytes)

interface Dialect {
  readonly transactionVersion: 1 | 2
  readonly dialect: 'new' | 'old'
  readonly firstProducerEpoch: number
}
const dialects: readonly Dialect[] = [
  { transactionVersion: 2, dialect: 'new', firstProducerEpoch: 0 },
  { transactionVersion: 2, dialect: 'new', firstProducerEpoch: 32_760 },
  { transactionVersion: 1, dialect: 'new', firstProducerEpoch: 0 },
  { transactionVersion: 1, dialect: 'old', firstProducerEpoch: 32_760 }
]

for (const { dialect, ...options } of dialects)
  void t.test(`publisher, ${dialect} brokers, ${JSON.stringify(options)}`, t =>
    testPublisher(
      t,
      { fencing: 'by-owner', partitions: 3, wholeRecords: true, shared: true, checksPartitions: true, headers: true },
      async t => {
        const login = { user: 'cairn', password: 'secret' }
        const scene = await makeScene(new Prng(7), options, { dialect, login })
        const { cluster, time } = scene
        t.teardown(letTimePass(time))
        const process = scene.host('worker').start()
        cluster.createTopic('out', { partitions: 3, maxBatchBytes: 2_000_000 })
        cluster.createTopic('ledger', { partitions: 40, compacted: true })
        const seen = async (): Promise<Seen[]> => {
          while (cluster.coordinator.undecidedMarkers > 0) await new Promise<void>(done => time.schedule(10, done))
          t.same(cluster.malformed, [])
          return cluster.committed('out').map(({ partition, timestamp, key, value, headers }) => ({
            partition,
            timestamp,
            key: key === undefined ? undefined : text(key),
            value: text(value),
            headers
          }))
        }
        const lost: BrokerFault = { kind: 'lost-reply', request: 'EndTxn', rate: 1 }
        const failed: BrokerFault = { kind: 'error', request: 'EndTxn', rate: 1, error: 'UNKNOWN_SERVER_ERROR' }
        return {
          publisher: () => makePublisher(scene, process, { sasl: () => saslPlain(login.user, login.password) }),
          seen,
          fail: when => cluster.inject(when === 'after' ? lost : failed, 1_000_000),
          reopen: async () => cluster.heal()
        }
      }
    )
  )

const able: LogCapabilities = {
  bounded: false,
  gaveUp: true,
  outOfRange: true,
  limited: true,
  partitions: 3,
  headers: true
}

const makeLog =
  (aborted: boolean): MakeLog =>
  async (t, texts) => {
    const time = new WorldTime(1000)
    t.teardown(letTimePass(time))
    const cluster = new BrokerCluster({ world: time, prng: new Prng(7) })
    const process = new SimHost(time, 'worker', new Prng(8)).start()
    const client = (): BrokerClient => new BrokerClient(cluster, process.clock, at)
    cluster.createTopic('texts', { partitions: texts.length })
    const encoder = new TextEncoder()
    const append = (
      partition: number,
      list: readonly string[],
      producerId = -1,
      headers: readonly RecordHeader[] = []
    ): Promise<void> => {
      const records = list.map(each => ({ timestamp: 0, key: undefined, value: encoder.encode(each), headers }))
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
        cluster
          .partition({ topic: 'texts', partition })
          ?.mark({ producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }, () => resolve())
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
      append: (partition, each, headers) => append(partition, [each], -1, headers)
    }
  }

void t.test('reader', t => testLogReader(t, able, makeLog(false)))
void t.test('reader of transactions', t => testLogReader(t, { ...able, outOfRange: false }, makeLog(true)))
