/**
 * Requests and replies of the simulated broker as bytes, written by hand per message and version from Kafka's protocol guide: an opinion of its
 * own about each byte, so that a misunderstanding in `runtime/kafka-protocol` does not agree with itself.
 */
import {
  brokerErrors,
  type BrokerError,
  type CallKind,
  type FetchedPartition,
  type Reply,
  type Request,
  type TopicPartition
} from './requests.ts'
import { readBatch, writeBatch } from './wire-batches.ts'
import { type Cursor, Out, WireError } from './wire-bytes.ts'

export interface WireApi<K extends CallKind> {
  readonly key: number
  /** First version with compact lengths. */
  readonly flexible: number
  read(cursor: Cursor, version: number, compact: boolean): Request<K>
  write(out: Out, version: number, compact: boolean, reply: Reply<K>, request: Request<K>, places: Places): void
}

/** Where brokers are, for replies that name them. */
export type Places = (broker: number) => { readonly host: string; readonly port: number }

/** Names stand for topics here: none is made again. */
export const topicIdOf = (topic: string): Uint8Array =>
  new Uint8Array(16).fill(1).map((one, i) => (topic.charCodeAt(i % topic.length) || one) & 0xff)

const code = (error: BrokerError): number => brokerErrors[error]
const must = (text: string | undefined): string => {
  if (text === undefined) throw new WireError('null where a string must be')
  return text
}

/** What a group is told of topics, in a transaction or alone. */
const committedOffsets = (
  cursor: Cursor,
  compact: boolean,
  hasLeaderEpoch: boolean
): (TopicPartition & { readonly offset: number })[] =>
  cursor
    .array(compact, () => {
      const topic = must(cursor.string(compact))
      const found = cursor.array(compact, () => {
        const partition = cursor.int32()
        const offset = cursor.int64()
        if (hasLeaderEpoch) cursor.int32()
        cursor.string(compact)
        cursor.tags(compact)
        return { topic, partition, offset }
      })
      cursor.tags(compact)
      return found
    })
    .flat()

/** Lists of topics with partitions, grouped as they are sent. */
function byTopic<T extends TopicPartition>(items: readonly T[]): [topic: string, items: T[]][] {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(item.topic, [...(groups.get(item.topic) ?? []), item])
  return [...groups]
}

const errorReply = (out: Out, compact: boolean, error: BrokerError): void => {
  out.int32(0).int16(code(error)).tags(compact)
}

/** Transactional id, producer id, producer epoch: as most requests begin. */
const identity = (
  cursor: Cursor,
  compact: boolean
): { readonly transactionalId: string; readonly producerId: number; readonly producerEpoch: number } => ({
  transactionalId: must(cursor.string(compact)),
  producerId: cursor.int64(),
  producerEpoch: cursor.int16()
})

const perPartition = (out: Out, compact: boolean, items: readonly TopicPartition[], error: BrokerError): void => {
  out.int32(0)
  out.array(compact, byTopic(items), ([topic, partitions]) => {
    out.string(compact, topic)
    out.array(compact, partitions, ({ partition }) => {
      out.int32(partition).int16(code(error)).tags(compact)
    })
    out.tags(compact)
  })
  out.tags(compact)
}

export const wireApis: { readonly [K in CallKind]: WireApi<K> } = {
  Produce: {
    key: 0,
    flexible: 9,
    read(cursor, version, compact) {
      const transactionalId = cursor.string(compact)
      if (cursor.int16() !== -1) throw new WireError('acks')
      cursor.int32()
      const batches = cursor
        .array(compact, () => {
          const topic = must(cursor.string(compact))
          const found = cursor.array(compact, () => {
            const partition = cursor.int32()
            const bytes = cursor.bytes(compact)
            cursor.tags(compact)
            return readBatch({ topic, partition }, bytes ?? new Uint8Array(0))
          })
          cursor.tags(compact)
          return found
        })
        .flat()
      return { transactionalId, version: version >= 12 ? 2 : 1, batches }
    },
    write(out, version, compact, { partitions }) {
      out.array(compact, byTopic(partitions), ([topic, mine]) => {
        out.string(compact, topic)
        out.array(compact, mine, ({ partition, error, baseOffset }) => {
          out.int32(partition).int16(code(error)).int64(baseOffset).int64(-1)
          if (version >= 5) out.int64(0)
          if (version >= 8) {
            out.array(compact, [], () => undefined)
            out.string(compact, undefined)
          }
          out.tags(compact)
        })
        out.tags(compact)
      })
      out.int32(0).tags(compact)
    }
  },

  Fetch: {
    key: 1,
    flexible: 12,
    read(cursor, version, compact) {
      if (cursor.int32() !== -1) throw new WireError('a replica')
      const maxWaitMs = cursor.int32()
      cursor.int32()
      const maxBytes = cursor.int32()
      const readCommitted = cursor.int8() === 1
      if (version >= 7) {
        cursor.int32()
        if (cursor.int32() !== -1) throw new WireError('fetch sessions are not offered')
      }
      const places = cursor
        .array(compact, () => {
          const topic = must(cursor.string(compact))
          const found = cursor.array(compact, () => {
            const partition = cursor.int32()
            if (version >= 9) cursor.int32()
            const offset = cursor.int64()
            if (version >= 12) cursor.int32()
            if (version >= 5) cursor.int64()
            const most = cursor.int32()
            cursor.tags(compact)
            return { topic, partition, offset, maxBytes: most }
          })
          cursor.tags(compact)
          return found
        })
        .flat()
      if (version >= 7)
        cursor.array(compact, () => {
          cursor.string(compact)
          cursor.array(compact, () => cursor.int32())
          cursor.tags(compact)
        })
      if (version >= 11) cursor.string(compact)
      return { places, readCommitted, maxBytes, maxWaitMs }
    },
    write(out, version, compact, { partitions }, { places }) {
      out.int32(0)
      if (version >= 7) out.int16(0).int32(0)
      const answers = places.map((place, i) => ({ ...place, ...(partitions[i] as FetchedPartition) }))
      out.array(compact, byTopic(answers), ([topic, mine]) => {
        out.string(compact, topic)
        out.array(compact, mine, ({ partition, error, highWatermark, lastStable, logStart, aborted, batches }) => {
          out.int32(partition).int16(code(error)).int64(highWatermark).int64(lastStable)
          if (version >= 5) out.int64(logStart)
          out.array(compact, aborted, ({ producerId, firstOffset }) => {
            out.int64(producerId).int64(firstOffset).tags(compact)
          })
          if (version >= 11) out.int32(-1)
          const records = new Out()
          for (const batch of batches) records.raw(writeBatch(batch))
          out.bytes(compact, records.take()).tags(compact)
        })
        out.tags(compact)
      })
      out.tags(compact)
    }
  },

  ListOffsets: {
    key: 2,
    flexible: 6,
    read(cursor, version, compact) {
      cursor.int32()
      const readCommitted = cursor.int8() === 1
      const wanted = cursor
        .array(compact, () => {
          const topic = must(cursor.string(compact))
          const found = cursor.array(compact, () => {
            const partition = cursor.int32()
            if (version >= 4) cursor.int32()
            const time = cursor.int64()
            cursor.tags(compact)
            if (time < -2) throw new WireError(`offset at time ${time}`)
            const at = time === -1 ? ('latest' as const) : time === -2 ? ('earliest' as const) : time
            return { topic, partition, readCommitted, at }
          })
          cursor.tags(compact)
          return found
        })
        .flat()
      if (version >= 10) cursor.int32()
      const [only] = wanted
      if (only === undefined || wanted.length > 1) throw new WireError(`offsets of ${wanted.length} partitions`)
      return only
    },
    write(out, version, compact, { error, offset }, { topic, partition }) {
      out.int32(0)
      out.array(compact, [topic], name => {
        out.string(compact, name)
        out.array(compact, [partition], number => {
          out.int32(number).int16(code(error)).int64(-1).int64(offset)
          if (version >= 4) out.int32(0)
          out.tags(compact)
        })
        out.tags(compact)
      })
      out.tags(compact)
    }
  },

  Metadata: {
    key: 3,
    flexible: 9,
    read(cursor, version, compact) {
      const topics = cursor.arrayOrNull(compact, () => {
        if (version >= 10) cursor.raw(16)
        const name = must(cursor.string(compact))
        cursor.tags(compact)
        return name
      })
      if (cursor.boolean()) throw new WireError('topics are not made by asking for them')
      if (version >= 8 && version <= 10) cursor.boolean()
      if (version >= 8) cursor.boolean()
      return { topics }
    },
    write(out, version, compact, { brokers, topics }, _, places) {
      out.int32(0)
      out.array(compact, brokers, broker => {
        const { host, port } = places(broker)
        out.int32(broker).string(compact, host).int32(port).string(compact, undefined).tags(compact)
      })
      out.string(compact, 'simulated').int32(brokers[0] ?? -1)
      out.array(compact, topics, ({ topic, error, partitions }) => {
        out.int16(code(error)).string(compact, topic)
        if (version >= 10) out.raw(topicIdOf(topic))
        out.boolean(false)
        out.array(compact, [...partitions.entries()], ([number, { error, leader, leaderEpoch }]) => {
          out.int16(code(error)).int32(number).int32(leader)
          if (version >= 7) out.int32(leaderEpoch)
          const replicas = [0, 1, 2]
          out.array(compact, replicas, id => out.int32(id)).array(compact, replicas, id => out.int32(id))
          if (version >= 5) out.array(compact, [], () => undefined)
          out.tags(compact)
        })
        if (version >= 8) out.int32(-2147483648)
        out.tags(compact)
      })
      if (version >= 8 && version <= 10) out.int32(-2147483648)
      out.tags(compact)
    }
  },

  FindCoordinator: {
    key: 10,
    flexible: 3,
    read(cursor, version, compact) {
      const single = version <= 3 ? must(cursor.string(compact)) : undefined
      const kind = cursor.int8()
      if (kind !== 0 && kind !== 1) throw new WireError('only groups and transactions are coordinated')
      const keys = version >= 4 ? cursor.array(compact, () => must(cursor.string(compact))) : []
      const transactionalId = single ?? keys[0]
      if (transactionalId === undefined || keys.length > 1) throw new WireError(`${keys.length} coordinators wanted`)
      return kind === 0 ? { group: transactionalId } : { transactionalId }
    },
    write(out, version, compact, { error, broker }, request, places) {
      const { host, port } = broker < 0 ? { host: '', port: -1 } : places(broker)
      out.int32(0)
      if (version <= 3)
        out.int16(code(error)).string(compact, undefined).int32(broker).string(compact, host).int32(port)
      else
        out.array(compact, ['group' in request ? request.group : request.transactionalId], key => {
          out.string(compact, key).int32(broker).string(compact, host).int32(port).int16(code(error))
          out.string(compact, undefined).tags(compact)
        })
      out.tags(compact)
    }
  },

  InitProducerId: {
    key: 22,
    flexible: 2,
    read(cursor, version, compact) {
      const transactionalId = must(cursor.string(compact))
      const timeoutMs = cursor.int32()
      const producerId = version >= 3 ? cursor.int64() : -1
      const producerEpoch = version >= 3 ? cursor.int16() : -1
      return { transactionalId, timeoutMs, producerId, producerEpoch }
    },
    write(out, _version, compact, { error, producerId, producerEpoch }) {
      out.int32(0).int16(code(error)).int64(producerId).int16(producerEpoch).tags(compact)
    }
  },

  AddPartitionsToTxn: {
    key: 24,
    flexible: 3,
    read(cursor, _version, compact) {
      const who = identity(cursor, compact)
      const partitions = cursor
        .array(compact, () => {
          const topic = must(cursor.string(compact))
          const found = cursor.array(compact, () => ({ topic, partition: cursor.int32() }))
          cursor.tags(compact)
          return found
        })
        .flat()
      return { ...who, partitions }
    },
    write(out, _version, compact, { error }, { partitions }) {
      perPartition(out, compact, partitions, error)
    }
  },

  AddOffsetsToTxn: {
    key: 25,
    flexible: 3,
    read: (cursor, _version, compact) => ({ ...identity(cursor, compact), group: must(cursor.string(compact)) }),
    write: (out, _version, compact, { error }) => errorReply(out, compact, error)
  },

  EndTxn: {
    key: 26,
    flexible: 3,
    read: (cursor, version, compact) => ({
      ...identity(cursor, compact),
      commit: cursor.boolean(),
      version: version >= 5 ? 2 : 1
    }),
    write(out, version, compact, { error, producerId, producerEpoch }) {
      out.int32(0).int16(code(error))
      if (version >= 5) out.int64(producerId).int16(producerEpoch)
      out.tags(compact)
    }
  },

  TxnOffsetCommit: {
    key: 28,
    flexible: 3,
    read(cursor, version, compact) {
      const transactionalId = must(cursor.string(compact))
      const group = must(cursor.string(compact))
      const producerId = cursor.int64()
      const producerEpoch = cursor.int16()
      if (version >= 3) {
        cursor.int32()
        cursor.string(compact)
        cursor.string(compact)
      }
      const offsets = committedOffsets(cursor, compact, version >= 2)
      return { transactionalId, group, producerId, producerEpoch, version: version >= 5 ? 2 : 1, offsets }
    },
    write(out, _version, compact, { error }, { offsets }) {
      perPartition(out, compact, offsets, error)
    }
  },

  OffsetCommit: {
    key: 8,
    flexible: 8,
    read(cursor, version, compact) {
      const group = must(cursor.string(compact))
      if (cursor.int32() !== -1 || cursor.string(compact) !== '') throw new WireError('groups have no members here')
      if (version >= 7) cursor.string(compact)
      const offsets = committedOffsets(cursor, compact, version >= 6)
      return { group, offsets }
    },
    write(out, _version, compact, { error }, { offsets }) {
      perPartition(out, compact, offsets, error)
    }
  },

  DescribeConfigs: {
    key: 32,
    flexible: 4,
    read(cursor, version, compact) {
      const [topic, ...more] = cursor.array(compact, () => {
        if (cursor.int8() !== 2) throw new WireError('only topics have configurations here')
        const name = must(cursor.string(compact))
        cursor.array(compact, () => cursor.string(compact))
        cursor.tags(compact)
        return name
      })
      if (topic === undefined || more.length > 0) throw new WireError('one topic, please')
      cursor.boolean()
      if (version >= 3) cursor.boolean()
      return { topic }
    },
    write(out, version, compact, { error, configs }, { topic }) {
      out.int32(0)
      out.array(compact, [topic], name => {
        out.int16(code(error)).string(compact, undefined).int8(2).string(compact, name)
        out.array(compact, Object.entries(configs), ([key, value]) => {
          out.string(compact, key).string(compact, value).boolean(false).int8(1).boolean(false)
          out.array(compact, [], () => undefined)
          if (version >= 3) out.int8(2).string(compact, undefined)
          out.tags(compact)
        })
        out.tags(compact)
      })
      out.tags(compact)
    }
  }
}
