/** What brokers answer: whole batches of records, compressed or not, and each reply of the own client's protocol. */
import { gzipSync } from 'node:zlib'
import type * as Decompress from '../../runtime/adapters/kafka/decompress.ts'
import type * as Codec from '../../runtime/kafka-protocol/codec.ts'
import type * as Fetched from '../../runtime/kafka-protocol/fetched-records.ts'
import type * as Messages from '../../runtime/kafka-protocol/messages.ts'
import type { ApiName } from '../../runtime/kafka-protocol/messages.ts'
import type * as RecordBatches from '../../runtime/kafka-protocol/record-batch.ts'
import type * as Bytes from '../../runtime/kernel/bytes.ts'
import type * as Crc from '../../runtime/kernel/crc32c.ts'
import type { Load, Target } from './targets.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

export async function answersOfBrokers(load: Load): Promise<Target[]> {
  return [await batches(load), ...(await replies(load))]
}

async function batches(load: Load): Promise<Target> {
  const { FetchedRecords } = (await load('runtime/kafka-protocol/fetched-records.js')) as typeof Fetched
  const { encodeBatch } = (await load('runtime/kafka-protocol/record-batch.js')) as typeof RecordBatches
  const { decompress } = (await load('runtime/adapters/kafka/decompress.js')) as typeof Decompress
  const { crc32c } = (await load('runtime/kernel/crc32c.js')) as typeof Crc
  const owner = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
  const list = Array.from({ length: 6 }, (_, i) => ({
    timestamp: 1000 + i,
    key: i === 1 ? undefined : text(`key ${i}`),
    value: i === 2 ? undefined : text('the same again and again'),
    ...(i % 2 === 0
      ? {}
      : {
          headers: [
            { name: 'ü', value: text('x') },
            { name: 'none', value: undefined }
          ]
        })
  }))
  const plain = encodeBatch(list, owner)
  const packed = encodeBatch(list, owner, { codec: 1, compress: part => gzipSync(part) })
  const sized = (codec: number, body: Uint8Array): Uint8Array => {
    const bytes = Buffer.concat([plain.subarray(0, 61), body])
    bytes.writeUInt32BE(bytes.length - 12, 8)
    bytes.writeUInt16BE(codec, 21)
    return bytes
  }
  const records = plain.subarray(61)
  // Snappy of one literal, plain and in blocks as Java's clients write it.
  const literal = Buffer.concat([Buffer.from([...varint(records.length), 61 << 2]), lengthLess1(records), records])
  const block = Buffer.alloc(4)
  block.writeUInt32BE(literal.length)
  const framed = Buffer.concat([
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    block,
    literal
  ])
  return {
    name: 'fetched records',
    seeds: [
      plain,
      packed,
      Buffer.concat([plain, packed, plain]),
      sized(2, literal),
      sized(2, framed),
      sized(3, lz4(records))
    ],
    repair: bytes => repaired(bytes, crc32c),
    decode(bytes) {
      try {
        const read = new FetchedRecords(bytes, [{ producerId: 7, firstOffset: 3 }], 2, decompress)
        for (let i = 0; i < read.count; i++) {
          read.key(i)
          read.value(i)
          read.headers(i)
        }
        return read.count > 0 ? 'taken' : 'none'
      } catch (error) {
        // By its shape: a patched build has a class of its own.
        if ((error as { codec?: number }).codec === undefined) throw error
        return 'unknown compression'
      }
    },
    codes: ['CORRUPT']
  }
}

/** A frame of two blocks: one plain, one of literals and a copy of what was before them. */
function lz4(records: Uint8Array): Uint8Array {
  const [first, rest] = [records.subarray(0, 60), records.subarray(60)]
  const size = (n: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(n >>> 0)
    return bytes
  }
  const sequences = Buffer.concat([Buffer.from([0xf0, rest.length - 15]), rest])
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0])
  return Buffer.concat([header, size(0x80000000 + first.length), first, size(sequences.length), sequences, size(0)])
}

const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)])
/** In two bytes, as a literal of that kind wants it. */
const lengthLess1 = ({ length }: Uint8Array): Uint8Array => Uint8Array.of((length - 1) & 255, (length - 1) >> 8)

/** The check of each batch that is whole, by its own length. */
function repaired(given: Uint8Array, crc32c: (bytes: Uint8Array) => number): Uint8Array {
  const bytes = Buffer.from(given)
  for (let at = 0; at + 61 <= bytes.length;) {
    const end = at + 12 + bytes.readUInt32BE(at + 8)
    if (end > bytes.length || end < at + 61) break
    bytes.writeUInt8(2, at + 16)
    bytes.writeUInt32BE(crc32c(bytes.subarray(at + 21, end)), at + 17)
    at = end
  }
  return bytes
}

const asked: readonly ApiName[] = ['Fetch', 'ListOffsets', 'Metadata']

async function replies(load: Load): Promise<Target[]> {
  const { decodeReply, writeValue } = (await load('runtime/kafka-protocol/codec.js')) as typeof Codec
  const { apiOf } = (await load('runtime/kafka-protocol/messages.js')) as typeof Messages
  const { ByteReader, ByteWriter } = (await load('runtime/kernel/bytes.js')) as typeof Bytes
  const id = new Uint8Array(16).fill(3)
  const partition = { partitionIndex: 1, errorCode: 0, leaderId: 2, leaderEpoch: 3, offlineReplicas: [] }
  const values: Readonly<Record<string, object>> = {
    Fetch: {
      throttleTimeMs: 0,
      errorCode: 0,
      sessionId: 0,
      topics: [
        {
          topic: 'orders',
          partitions: [0, 1].map(partitionIndex => ({
            partitionIndex,
            errorCode: 0,
            highWatermark: 9,
            lastStableOffset: 8,
            logStartOffset: 0,
            abortedTransactions: partitionIndex === 0 ? null : [{ producerId: 5, firstOffset: 6 }],
            preferredReadReplica: -1,
            records: new Uint8Array(60)
          }))
        }
      ]
    },
    ListOffsets: {
      throttleTimeMs: 0,
      topics: [
        { name: 'orders', partitions: [{ partitionIndex: 1, errorCode: 0, timestamp: -1, offset: 5, leaderEpoch: 2 }] }
      ]
    },
    Metadata: {
      throttleTimeMs: 0,
      brokers: [1, 2].map(nodeId => ({ nodeId, host: `kafka${nodeId}`, port: 9092, rack: null })),
      clusterId: 'c',
      controllerId: 1,
      clusterAuthorizedOperations: 0,
      topics: ['a', 'b'].map(name => ({
        errorCode: 0,
        name,
        topicId: id,
        isInternal: false,
        partitions: [{ ...partition, replicaNodes: [1, 2], isrNodes: [1] }],
        topicAuthorizedOperations: 0
      }))
    }
  }
  return asked.map(name => {
    const { reply, versions, flexibleFrom } = apiOf(name)
    const encoded = (version: number): Uint8Array => {
      const flexible = version >= flexibleFrom
      const writer = new ByteWriter(256)
      writer.u8(version)
      if (flexible) writer.varuint(0)
      writeValue(writer, reply, values[name], version, flexible)
      return writer.take()
    }
    return {
      name: `replies to ${name}`,
      seeds: versions.map(encoded),
      // The version that was asked in stands before it: no broker chooses it.
      decode(bytes) {
        const version = versions[(bytes[0] ?? 0) % 2] as number
        decodeReply(name, version, new ByteReader(bytes.subarray(1)))
        return 'taken'
      },
      codes: ['CORRUPT']
    }
  })
}
