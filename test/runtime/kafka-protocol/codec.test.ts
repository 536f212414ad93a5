/** Bytes: against captures of Kafka's own clients and brokers, against the independent opinion of the simulated broker, and when they are wrong. */
import fc from 'fast-check'
import t from 'tap'
import { ByteReader, ByteWriter } from '../../../runtime/kernel/bytes.ts'
import { isCodedError } from '../../../runtime/kernel/errors.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import {
  decodeReply,
  encodeRequest,
  readInt64,
  readValue,
  writeInt64,
  writeValue
} from '../../../runtime/kafka-protocol/codec.ts'
import { apiOf, apis, type ApiName } from '../../../runtime/kafka-protocol/messages.ts'
import type { Schema } from '../../../runtime/kafka-protocol/schema.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (list: readonly number[]): Uint8Array => Uint8Array.from(list)
const text = (s: string): number[] => [...Buffer.from(s)]
const header = (version: number, correlationId: number, clientId: string): Parameters<typeof encodeRequest>[1] => ({
  version,
  correlationId,
  clientId
})

void t.test('requests are the bytes that Kafka writes', t => {
  // Captured from Kafka's console producer.
  t.same(
    encodeRequest('ApiVersions', header(3, 3, 'console-producer'), {
      clientSoftwareName: 'apache-kafka-java',
      clientSoftwareVersion: '3.6.1'
    }),
    bytesOf([
      ...[0, 0, 0, 52, 0, 18, 0, 3, 0, 0, 0, 3, 0, 16, ...text('console-producer'), 0],
      ...[18, ...text('apache-kafka-java'), 6, ...text('3.6.1'), 0]
    ])
  )
  const all = { includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false }
  t.same(
    encodeRequest('Metadata', header(12, 5, 'console-producer'), {
      topics: [{ topicId: new Uint8Array(16), name: 'test' }],
      allowAutoTopicCreation: true,
      ...all
    }),
    bytesOf([
      ...[0, 0, 0, 53, 0, 3, 0, 12, 0, 0, 0, 5, 0, 16, ...text('console-producer'), 0],
      ...[2, ...new Array<number>(16).fill(0), 5, ...text('test'), 0, 1, 0, 0]
    ])
  )
  const owner = { transactionalId: 'test-transactional-id', producerId: 1001, producerEpoch: 0 }
  const ownerBytes = [0, 21, ...text('test-transactional-id'), 0, 0, 0, 0, 0, 0, 3, 233, 0, 0]
  const head = 4 + 2 + 2 + 4 + 2
  t.same(
    encodeRequest('AddPartitionsToTxn', header(0, 1, ''), {
      ...owner,
      topics: [
        { name: 'test-topic', partitions: [1, 2] },
        { name: 'other', partitions: [0] }
      ]
    }).subarray(head),
    bytesOf([
      ...[...ownerBytes, 0, 0, 0, 2, 0, 10, ...text('test-topic'), 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
      ...[0, 5, ...text('other'), 0, 0, 0, 1, 0, 0, 0, 0]
    ])
  )
  t.same(
    encodeRequest('EndTxn', header(0, 1, ''), { ...owner, committed: true }).subarray(head),
    bytesOf([...ownerBytes, 1])
  )
  const produce = {
    transactionalId: null,
    acks: 1,
    timeoutMs: 5000,
    topics: [{ name: 't', partitions: [{ index: 0, records: null }] }]
  }
  t.equal(
    hex(encodeRequest('Produce', header(3, 1, ''), produce).subarray(head)),
    'ffff00010000138800000001000174' + '0000000100000000ffffffff'
  )
  t.equal(
    hex(encodeRequest('Produce', header(9, 1, ''), produce).subarray(head + 1)),
    '000001000013880202740200000000' + '00000000'
  )
  t.end()
})

void t.test('replies of Kafka are understood', t => {
  const metadata = bytesOf([
    ...[0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 13, ...text('kafka-server'), 0, 0, 35, 132, 0, 0, 23],
    ...[...text('RvQwrYegSUCkIPkaiAZQlQ'), 0, 0, 0, 0, 2, 0, 3, 5, ...text('test'), ...new Array<number>(16).fill(0)],
    ...[0, 1, 128, 0, 0, 0, 0, 0]
  ])
  t.match(decodeReply('Metadata', 12, new ByteReader(metadata)), {
    brokers: [{ nodeId: 0, host: 'kafka-server', port: 9092, rack: null }],
    clusterId: 'RvQwrYegSUCkIPkaiAZQlQ',
    controllerId: 0,
    topics: [{ errorCode: 3, name: 'test', isInternal: false, partitions: [], topicAuthorizedOperations: -2147483648 }],
    clusterAuthorizedOperations: 0
  })
  const coordinator = bytesOf([0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 2, 0, 14, ...text('192.168.50.211'), 0, 0, 35, 138])
  t.match(decodeReply('FindCoordinator', 1, new ByteReader(coordinator)), {
    errorCode: 0,
    errorMessage: null,
    nodeId: 2,
    host: '192.168.50.211',
    port: 9098,
    coordinators: []
  })
  t.end()
})

void t.test('64-bit integers keep their sign up to 2^53, and others are refused', t => {
  for (const n of [0, 1, -1, 2 ** 31, -(2 ** 31) - 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1]) {
    const writer = new ByteWriter()
    writeInt64(writer, n)
    const view = new DataView(writer.take().buffer)
    t.equal(Number(view.getBigInt64(0)), n)
    t.equal(readInt64(new ByteReader(writer.take())), n)
  }
  t.throws(() => writeInt64(new ByteWriter(), 2 ** 53), TypeError)
  t.throws(() => readInt64(new ByteReader(bytesOf([0x7f, 0, 0, 0, 0, 0, 0, 0]))), { code: 'CORRUPT' })
  t.end()
})

/** Any value that a schema may hold in a version. */
function anyValue(schema: Schema, version: number, random: Prng): unknown {
  if (version < (schema.from ?? 0) || version > (schema.until ?? Infinity)) return schema.otherwise
  if (schema.nullableFrom !== undefined && version >= schema.nullableFrom && random.int(3) === 0) return null
  const below = (bits: number): number => random.int(2 ** bits) - 2 ** (bits - 1)
  const raw = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.int(256))
  switch (schema.kind) {
    case 'int8':
      return below(8)
    case 'int16':
      return below(16)
    case 'int32':
      return below(32)
    case 'int64':
      return Math.trunc((random.next() - 0.5) * 2 ** random.int(54))
    case 'bool':
      return random.int(2) === 0
    case 'uuid':
      return raw(16)
    case 'string':
      return ['', 'a', 'ü€😀', 'x'.repeat(200)][random.int(4)]
    case 'bytes':
      return raw(random.int(200))
    case 'list':
      return Array.from({ length: random.int(4) }, () => anyValue(schema.of as Schema, version, random))
    case 'struct':
      return Object.fromEntries(
        Object.entries(schema.fields ?? {}).map(([name, field]) => [name, anyValue(field, version, random)])
      )
  }
}

const everyVersion = (Object.keys(apis) as ApiName[]).flatMap(name => {
  const { versions } = apiOf(name)
  return Array.from({ length: versions[1] - versions[0] + 1 }, (_, i) => ({ name, version: versions[0] + i }))
})

void t.test('every message of every version comes back as it was written', t => {
  const random = new Prng('codec')
  for (const { name, version } of everyVersion) {
    const { flexibleFrom, ...each } = apiOf(name)
    for (const schema of [each.request, each.reply] as readonly Schema[])
      for (let i = 0; i < 10; i++) {
        const value = anyValue(schema, version, random)
        const writer = new ByteWriter()
        writeValue(writer, schema, value, version, version >= flexibleFrom)
        const reader = new ByteReader(writer.take())
        t.same(readValue(reader, schema, version, version >= flexibleFrom), value, `${name} ${version}`)
        reader.expectEnd()
      }
  }
  t.end()
})

void t.test('a field that a version does not have is not written', t => {
  const bytes = (version: number): number =>
    encodeRequest('InitProducerId', header(version, 1, ''), {
      transactionalId: 'a',
      transactionTimeoutMs: 1,
      producerId: 5,
      producerEpoch: 6
    }).length
  t.equal(bytes(3), bytes(4))
  const end = { transactionalId: 'a', producerId: 1, producerEpoch: 1, committed: true }
  // The compact form: one byte less for the text, two more for tagged fields of header and body.
  t.equal(
    encodeRequest('EndTxn', header(3, 1, ''), end).length,
    encodeRequest('EndTxn', header(2, 1, ''), end).length + 1
  )
  t.end()
})

void t.test('whatever bytes come, the answer is a value or CORRUPT, and no length is believed', t => {
  const random = new Prng('fuzz')
  let understood = 0
  const attempt = (name: ApiName, version: number, bytes: Uint8Array): void => {
    try {
      decodeReply(name, version, new ByteReader(bytes))
      understood++
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'CORRUPT') throw error
    }
  }
  for (const { name, version } of everyVersion) {
    const { reply, flexibleFrom } = apiOf(name)
    const writer = new ByteWriter()
    const flexible = version >= flexibleFrom
    if (flexible && name !== 'ApiVersions') writer.varuint(0)
    writeValue(writer, reply, anyValue(reply, version, random), version, flexible)
    const whole = writer.take()
    attempt(name, version, whole)
    t.equal(understood, 1, `${name} ${version}`)
    for (let length = 0; length < Math.min(whole.length, 80); length++)
      attempt(name, version, whole.subarray(0, length))
    for (let i = 0; i < 60; i++) {
      const flipped = Uint8Array.from(whole)
      const at = random.int(whole.length)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << random.int(8))
      attempt(name, version, flipped)
    }
    understood = 0
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: everyVersion.length - 1 }), (bytes, i) => {
      const { name, version } = everyVersion[i] as { name: ApiName; version: number }
      attempt(name, version, bytes)
    }),
    { numRuns: 2000 }
  )
  const many = bytesOf([0, 0, 0, 0, 0x7f, 255, 255, 255])
  t.throws(() => decodeReply('Metadata', 4, new ByteReader(many)), { code: 'CORRUPT' })
  t.end()
})
