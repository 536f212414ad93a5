/** The simulated brokers' bytes against those of `runtime/kafka-protocol`, for every version that both know; and what is no request. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ByteReader } from '../../../runtime/kernel/bytes.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { decodeReply, encodeRequest } from '../../../runtime/kafka-protocol/codec.ts'
import { apiOf, type ReplyOf, type RequestOf } from '../../../runtime/kafka-protocol/messages.ts'
import { encodeBatch } from '../../../runtime/kafka-protocol/record-batch.ts'
import type { ByteStream } from '../../../runtime/ports/transport.ts'
import type { CallKind, Reply, Request } from '../../../simulations/broker/requests.ts'
import { Cursor, Out, WireError } from '../../../simulations/broker/wire-bytes.ts'
import { topicIdOf, wireApis } from '../../../simulations/broker/wire-messages.ts'
import { makeScene } from './scene.ts'

const owner = { transactionalId: 'j.1.out.S.0', producerId: 4_294_967_297, producerEpoch: 32_767 }
const places = (broker: number): { host: string; port: number } => ({ host: `kafka${broker}`, port: 9092 + broker })

interface Case<K extends CallKind> {
  /** As the client says it, and as the broker must understand it. */
  readonly asked: RequestOf<K>
  readonly understood: (version: number) => Request<K>
  readonly answered: Reply<K>
  /** A part of what the client must understand. */
  readonly heard: (version: number) => Partial<ReplyOf<K>>
}

const bytes = encodeBatch([{ timestamp: 5, key: undefined, value: new Uint8Array([1]) }], { ...owner, baseSequence: 9 })
const t0 = { topic: 't', partition: 3 }
const fetchPartition = {
  partition: 3,
  currentLeaderEpoch: 7,
  fetchOffset: 2 ** 40,
  lastFetchedEpoch: -1,
  logStartOffset: -1
}

const cases: { readonly [K in CallKind]: Case<K> } = {
  Produce: {
    asked: {
      transactionalId: owner.transactionalId,
      acks: -1,
      timeoutMs: 10,
      topics: [{ name: 't', partitions: [{ index: 3, records: bytes }] }]
    },
    understood: version => ({
      transactionalId: owner.transactionalId,
      version: version >= 12 ? 2 : 1,
      batches: [
        {
          ...t0,
          producerId: owner.producerId,
          producerEpoch: owner.producerEpoch,
          baseSequence: 9,
          transactional: true,
          records: [{ timestamp: 5, key: undefined, value: new Uint8Array([1]) }],
          sizeBytes: bytes.length
        }
      ]
    }),
    answered: { partitions: [{ ...t0, error: 'MESSAGE_TOO_LARGE', baseOffset: 77 }] },
    heard: version => ({
      topics: [
        {
          name: 't',
          partitions: [
            {
              index: 3,
              errorCode: 10,
              baseOffset: 77,
              logAppendTimeMs: -1,
              logStartOffset: version >= 5 ? 0 : -1,
              recordErrors: [],
              errorMessage: null
            }
          ]
        }
      ]
    })
  },
  Fetch: {
    asked: {
      replicaId: -1,
      maxWaitMs: 100,
      minBytes: 1,
      maxBytes: 5000,
      isolationLevel: 1,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [{ topic: 't', partitions: [{ ...fetchPartition, partitionMaxBytes: 4000 }] }],
      forgottenTopics: [],
      rackId: ''
    },
    understood: () => ({
      places: [{ ...t0, offset: 2 ** 40, maxBytes: 4000 }],
      readCommitted: true,
      maxBytes: 5000,
      maxWaitMs: 100
    }),
    answered: {
      partitions: [
        {
          error: 'NOT_LEADER_OR_FOLLOWER',
          batches: [],
          aborted: [{ producerId: 5, firstOffset: 6 }],
          logStart: 1,
          highWatermark: 2 ** 41,
          lastStable: 8
        }
      ]
    },
    heard: version => ({
      topics: [
        {
          topic: 't',
          partitions: [
            {
              partitionIndex: 3,
              errorCode: 6,
              highWatermark: 2 ** 41,
              lastStableOffset: 8,
              logStartOffset: version >= 5 ? 1 : -1,
              abortedTransactions: [{ producerId: 5, firstOffset: 6 }],
              preferredReadReplica: -1,
              records: new Uint8Array(0)
            }
          ]
        }
      ]
    })
  },
  ListOffsets: {
    asked: {
      replicaId: -1,
      isolationLevel: 1,
      topics: [{ name: 't', partitions: [{ partitionIndex: 3, currentLeaderEpoch: -1, timestamp: -2 }] }],
      timeoutMs: 5
    },
    understood: () => ({ ...t0, readCommitted: true, at: 'earliest' }),
    answered: { error: 'NONE', offset: 12 },
    heard: version => ({
      topics: [
        {
          name: 't',
          partitions: [
            { partitionIndex: 3, errorCode: 0, timestamp: -1, offset: 12, leaderEpoch: version >= 4 ? 0 : -1 }
          ]
        }
      ]
    })
  },
  Metadata: {
    asked: {
      topics: [{ topicId: new Uint8Array(16), name: 't' }],
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false
    },
    understood: () => ({ topics: ['t'] }),
    answered: {
      brokers: [1],
      topics: [
        { topic: 't', error: 'NONE', partitions: [{ error: 'LEADER_NOT_AVAILABLE', leader: -1, leaderEpoch: 4 }] }
      ]
    },
    heard: version => ({
      brokers: [{ nodeId: 1, host: 'kafka1', port: 9093, rack: null }],
      clusterId: 'simulated',
      topics: [
        {
          errorCode: 0,
          name: 't',
          topicId: version >= 10 ? topicIdOf('t') : new Uint8Array(16),
          isInternal: false,
          partitions: [
            {
              errorCode: 5,
              partitionIndex: 0,
              leaderId: -1,
              leaderEpoch: version >= 7 ? 4 : -1,
              replicaNodes: [0, 1, 2],
              isrNodes: [0, 1, 2],
              offlineReplicas: []
            }
          ],
          topicAuthorizedOperations: version >= 8 ? -2147483648 : 0
        }
      ]
    })
  },
  FindCoordinator: {
    asked: { key: owner.transactionalId, keyType: 1, coordinatorKeys: [owner.transactionalId] },
    understood: () => ({ transactionalId: owner.transactionalId }),
    answered: { error: 'NONE', broker: 2 },
    heard: version =>
      version <= 3
        ? { errorCode: 0, nodeId: 2, host: 'kafka2', port: 9094 }
        : {
            coordinators: [
              {
                key: owner.transactionalId,
                nodeId: 2,
                host: 'kafka2',
                port: 9094,
                errorCode: 0,
                errorMessage: null
              }
            ]
          }
  },
  InitProducerId: {
    asked: { ...owner, transactionTimeoutMs: 60_000 },
    understood: () => ({ ...owner, timeoutMs: 60_000 }),
    answered: { error: 'PRODUCER_FENCED', producerId: 9, producerEpoch: -1 },
    heard: () => ({ errorCode: 90, producerId: 9, producerEpoch: -1 })
  },
  AddPartitionsToTxn: {
    asked: { ...owner, topics: [{ name: 't', partitions: [3] }] },
    understood: () => ({ ...owner, partitions: [t0] }),
    answered: { error: 'CONCURRENT_TRANSACTIONS' },
    heard: () => ({ topics: [{ name: 't', partitions: [{ partitionIndex: 3, errorCode: 51 }] }] })
  },
  AddOffsetsToTxn: {
    asked: { ...owner, groupId: 'g' },
    understood: () => ({ ...owner, group: 'g' }),
    answered: { error: 'NOT_COORDINATOR' },
    heard: () => ({ errorCode: 16 })
  },
  EndTxn: {
    asked: { ...owner, committed: true },
    understood: version => ({ ...owner, commit: true, version: version >= 5 ? 2 : 1 }),
    answered: { error: 'NONE', producerId: 10, producerEpoch: 11 },
    heard: version => (version >= 5 ? { errorCode: 0, producerId: 10, producerEpoch: 11 } : { producerId: -1 })
  },
  TxnOffsetCommit: {
    asked: {
      ...owner,
      groupId: 'g',
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
      topics: [
        {
          name: 't',
          partitions: [{ partitionIndex: 3, committedOffset: 99, committedLeaderEpoch: -1, committedMetadata: null }]
        }
      ]
    },
    understood: version => ({ ...owner, group: 'g', version: version >= 5 ? 2 : 1, offsets: [{ ...t0, offset: 99 }] }),
    answered: { error: 'UNSTABLE_OFFSET_COMMIT' },
    heard: () => ({ topics: [{ name: 't', partitions: [{ partitionIndex: 3, errorCode: 88 }] }] })
  },
  OffsetCommit: {
    asked: {
      groupId: 'g',
      generationId: -1,
      memberId: '',
      groupInstanceId: null,
      topics: [
        {
          name: 't',
          partitions: [{ partitionIndex: 3, committedOffset: 99, committedLeaderEpoch: -1, committedMetadata: null }]
        }
      ]
    },
    understood: () => ({ group: 'g', offsets: [{ ...t0, offset: 99 }] }),
    answered: { error: 'NOT_COORDINATOR' },
    heard: () => ({ topics: [{ name: 't', partitions: [{ partitionIndex: 3, errorCode: 16 }] }] })
  },
  DescribeConfigs: {
    asked: {
      resources: [{ resourceType: 2, resourceName: 't', configurationKeys: ['max.message.bytes'] }],
      includeSynonyms: false,
      includeDocumentation: false
    },
    understood: () => ({ topic: 't' }),
    answered: { error: 'NONE', configs: { 'max.message.bytes': '5' } },
    heard: version => ({
      results: [
        {
          errorCode: 0,
          errorMessage: null,
          resourceType: 2,
          resourceName: 't',
          configs: [
            {
              name: 'max.message.bytes',
              value: '5',
              readOnly: false,
              configSource: 1,
              isSensitive: false,
              synonyms: [],
              configType: version >= 3 ? 2 : 0,
              documentation: null
            }
          ]
        }
      ]
    })
  }
}

function check<K extends CallKind>(t: Test, kind: K, version: number): void {
  const { asked, understood, answered, heard } = cases[kind]
  const wire = wireApis[kind]
  const compact = version >= wire.flexible
  const cursor = new Cursor(encodeRequest(kind, { version, correlationId: 1, clientId: 'c' }, asked).subarray(4))
  t.same([cursor.int16(), cursor.int16(), cursor.int32(), cursor.string(false)], [wire.key, version, 1, 'c'])
  cursor.tags(compact)
  t.same(wire.read(cursor, version, compact), understood(version), `${kind} ${version}: request`)
  cursor.tags(compact)
  cursor.done()
  const out = new Out().tags(compact)
  wire.write(out, version, compact, answered, understood(version), places)
  t.match(decodeReply(kind, version, new ByteReader(out.take())), heard(version), `${kind} ${version}: reply`)
}

void t.test('both sides understand each other in every version', t => {
  for (const kind of Object.keys(cases) as CallKind[]) {
    const [min, max] = apiOf(kind).versions
    for (let version = min; version <= max; version++) check(t, kind, version)
  }
  t.end()
})

void t.test('the simulated broker knows nothing of how Cairn understands Kafka', t => {
  const here = dirname(fileURLToPath(import.meta.url))
  const folder = join(here, '../../../simulations/broker')
  for (const name of readdirSync(folder).filter(each => each.endsWith('.js')))
    t.notMatch(readFileSync(join(folder, name), 'utf8'), /kafka-protocol\/|adapters\//, name)
  t.end()
})

void t.test('what is no request breaks the connection, and nothing else', async t => {
  const { time, network, cluster, addresses, host } = await makeScene(new Prng(3))
  const random = new Prng(4)
  const whole = encodeRequest('Metadata', { version: 12, correlationId: 1, clientId: 'c' }, cases.Metadata.asked)
  const process = host('client').start()
  let closed = 0
  for (let i = 0; i < 200; i++) {
    const bytes = Uint8Array.from(whole)
    bytes[4 + random.int(bytes.length - 4)] = random.int(256)
    let stream: ByteStream | undefined
    void network
      .transport(process)
      .connect(addresses[0] as string)
      .then(opened => {
        stream = opened
        opened.onClose(() => closed++)
        opened.write(i % 4 === 0 ? new Uint8Array([0x7f, 255, 255, 255, 0]) : bytes)
      })
    await time.run({ untilMs: time.now() + 100 })
    stream?.close()
  }
  t.ok(closed > 50, `${closed} closed`)
  t.ok(cluster.malformed.length > 10)
  t.throws(() => new Cursor(new Uint8Array(3)).int32(), new WireError('4 bytes wanted, 3 left'))
})
