/** Everything that reads bytes which somebody else wrote, with valid inputs to begin from and the refusals that it declares. */
import type * as StateCodec from '../../actors/state-codec.ts'
import type * as Listing from '../../checkpoint/adapters/s3/listing.ts'
import type * as S3Options from '../../checkpoint/adapters/s3/s3-options.ts'
import type * as DecisionLogs from '../../checkpoint/decision-log.ts'
import type * as Manifests from '../../checkpoint/manifest.ts'
import type * as Outboxes from '../../checkpoint/outbox-file.ts'
import type * as StateFiles from '../../checkpoint/state-file.ts'
import type * as Resolve from '../../deploy/settings/resolve-settings.ts'
import type * as Tables from '../../deploy/settings/tables.ts'
import type * as ControlProtocol from '../../deploy/control-protocol.ts'
import type * as Ledgers from '../../runtime/adapters/kafka/ledger-records.ts'
import type * as NatsOptions from '../../runtime/adapters/nats/nats-options.ts'
import type * as Messages from '../../runtime/core/cluster-messages.ts'
import type * as Entries from '../../runtime/core/entry.ts'
import type * as Exchange from '../../runtime/core/exchange.ts'
import type * as Frames from '../../runtime/core/frames.ts'
import type * as Recorded from '../../runtime/core/recorded-messages.ts'
import type * as Bytes from '../../runtime/kernel/bytes.ts'
import type * as Checksums from '../../runtime/kernel/checksum.ts'
import type * as Durations from '../../runtime/kernel/durations.ts'
import { jsonTargets } from './json-targets.ts'
import { answersOfBrokers } from './kafka-targets.ts'

export interface Target {
  readonly name: string
  readonly seeds: readonly Uint8Array[]
  /** Makes checksums right, so that what stands behind them is reached. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array
  /** Answers 'taken' or what it was refused with; throws a CodedError, else it has crashed. */
  readonly decode: (bytes: Uint8Array) => string
  /** Codes that it may throw. */
  readonly codes: readonly string[]
}

/** A module of some build, by its compiled path. */
export type Load = (file: string) => Promise<unknown>

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const json = (value: unknown): Uint8Array => text(JSON.stringify(value))
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const taken = (value: unknown): string => (value === undefined ? 'refused' : 'taken')

function withU32(bytes: Uint8Array, at: number, value: number): Uint8Array {
  if (at >= 0 && at + 4 <= bytes.length) new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, value)
  return bytes
}

export async function targetsOf(load: Load): Promise<readonly Target[]> {
  return [
    ...(await dataPlane(load)),
    ...(await controlPlane(load)),
    ...(await storedBytes(load)),
    ...(await answersOfBrokers(load)),
    ...(await settings(load)),
    ...(await jsonTargets(load))
  ]
}

async function dataPlane(load: Load): Promise<Target[]> {
  const { FrameReader, decodeBatch, encodeBatch, encodeCredit, encodeHello } = (await load(
    'runtime/core/frames.js'
  )) as typeof Frames
  const { OutgoingChannel } = (await load('runtime/core/exchange.js')) as typeof Exchange
  const { crc32 } = (await load('runtime/kernel/checksum.js')) as typeof Checksums
  const name = { edge: 3, from: 1, to: 2 }
  const channel = new OutgoingChannel(name, 'w2')
  channel.push('key', { n: 1, text: 'ü', at: new Date(5), list: [1, [2, [3]]] }, 12, 'in/0/', 7, '.1', '00-1')
  channel.push(['a', 2], new Map([['a', new Set([1n, -5])]]), -3, '', 0, '', '')
  channel.control({ kind: 'watermark', time: 9 })
  channel.control({ kind: 'idle', idle: true })
  channel.control({ kind: 'barrier', epoch: 4 })
  channel.push(17, [1, null, new Uint8Array(9)], 1, '', 1, '', '')
  channel.control({ kind: 'end' })
  const frames = [
    encodeHello({ job: 'j', lineage: 1, generation: 2, from: 'w1', to: 'w2' }),
    ...channel.take(),
    encodeCredit(name, 300)
  ]
  const batch = encodeBatch({
    kind: 'records',
    keys: ['a', 7],
    values: [{ a: 1 }, 'b'],
    times: [1, 2],
    origins: ['x', ''],
    offsets: [0, 1],
    paths: ['', '.1'],
    traces: ['', '00-2']
  })
  return [
    {
      name: 'frames',
      seeds: [...frames, Buffer.concat(frames)],
      repair: bytes =>
        bytes.length < 8
          ? bytes
          : withU32(withU32(bytes, 0, bytes.length - 8), bytes.length - 4, crc32(bytes.subarray(4, bytes.length - 4))),
      decode(bytes) {
        const reader = new FrameReader()
        const middle = bytes.length >> 1
        return reader.push(bytes.subarray(0, middle)).length + reader.push(bytes.subarray(middle)).length > 0
          ? 'taken'
          : 'waits'
      },
      codes: ['FRAME_MALFORMED']
    },
    {
      name: 'batches',
      seeds: [batch],
      repair: bytes => withU32(bytes, bytes.length - 4, crc32(bytes.subarray(0, Math.max(0, bytes.length - 4)))),
      decode: bytes => taken(decodeBatch(bytes)),
      codes: ['FRAME_MALFORMED', 'CORRUPT']
    }
  ]
}

async function controlPlane(load: Load): Promise<Target[]> {
  const messages = (await load('runtime/core/cluster-messages.js')) as typeof Messages
  const { parseRequest } = (await load('deploy/control-protocol.js')) as typeof ControlProtocol
  const report = {
    lineage: 1,
    worker: 'w1#1',
    name: 'w1',
    sequence: 3,
    address: '127.0.0.1:1',
    plan: 'abc',
    leaving: false,
    generation: 2,
    state: 'running'
  }
  const directive = {
    lineage: 1,
    leader: 'w1#1',
    term: 4,
    sequence: 5,
    phase: 'running',
    generation: 2,
    perWorker: 1,
    addresses: { w1: '127.0.0.1:1' },
    trigger: { epoch: 3, last: false },
    abandoned: 1,
    decided: { epoch: 2, hash: 'ab', loops: [] }
  }
  return [
    {
      name: 'control messages',
      seeds: [report, directive, { kind: 'leave', worker: 'w' }, { kind: 'drain', term: 3 }].map(json),
      decode: bytes =>
        taken(messages.decodeReport(bytes) ?? messages.decodeDirective(bytes) ?? messages.decodeCommand(bytes)),
      codes: []
    },
    {
      name: 'requests to a job',
      seeds: [
        { v: 1, id: 1, kind: 'status' },
        { v: 1, id: 2, kind: 'state', stage: 'a', key: ['b', 1] },
        { v: 1, id: 3, kind: 'log-read', topic: 't', limit: 5, positions: [1] }
      ].map(json),
      decode: bytes => taken(parseRequest(textOf(bytes))),
      codes: ['USAGE']
    }
  ]
}

async function storedBytes(load: Load): Promise<Target[]> {
  const { decodeManifest, manifestFormat } = (await load('checkpoint/manifest.js')) as typeof Manifests
  const { crc32, sha256Hex } = (await load('runtime/kernel/checksum.js')) as typeof Checksums
  const { StateFileWriter, readStateFile } = (await load('checkpoint/state-file.js')) as typeof StateFiles
  const { OutboxFileWriter, decodeChunk } = (await load('checkpoint/outbox-file.js')) as typeof Outboxes
  const { decodeValue, encodeValue } = (await load('actors/state-codec.js')) as typeof StateCodec
  const { ByteReader, ByteWriter } = (await load('runtime/kernel/bytes.js')) as typeof Bytes
  const { decodeEntry, encodeEntry } = (await load('runtime/adapters/kafka/ledger-records.js')) as typeof Ledgers
  const { readEntry } = (await load('runtime/core/entry.js')) as typeof Entries
  const { decodeMessage } = (await load('runtime/core/recorded-messages.js')) as typeof Recorded
  const { decodeDecision, encodeDecision } = (await load('checkpoint/decision-log.js')) as typeof DecisionLogs

  const manifest = json({
    format: manifestFormat,
    job: 'j',
    lineage: 1,
    generation: 2,
    epoch: 3,
    previous: { epoch: 2, hash: 'ab' },
    final: false,
    savepointNames: [],
    savepoints: [{ name: 's', epoch: 1, manifest: { name: 'm', hash: 'h' } }],
    keyGroups: 128,
    slots: 4,
    parallelism: 2,
    stages: [{ name: 'a', schemas: [], watermarks: [null, 5], finished: false, files: [] }],
    sources: [{ name: 's', partitions: [{ partition: 0, name: 'p', position: 4, greatestTime: null }] }],
    outboxes: [],
    ledgers: [{ sink: 's', stage: 'a', slot: 0, epoch: 2, chunk: 0 }]
  })
  const delta = new StateFileWriter()
  for (let i = 0; i < 8; i++) delta.add(i % 3, text(`key ${i}`), i === 5 ? undefined : text(`value ${i}`))
  const file = delta.finish({ job: 'j', lineage: 1, generation: 2, epoch: 3, stage: 'a' }).slice()
  const outbox = new OutboxFileWriter()
  const headers = [
    { name: 'traceparent', value: text('00-1') },
    { name: 'none', value: undefined }
  ]
  outbox.append('sink', 0, { partition: 0, timestamp: 5, key: text('k'), value: text('v'), headers })
  outbox.append('sink', 0, { partition: 1, timestamp: 6, key: undefined, value: text('w') })
  const value = (of: unknown): Uint8Array => {
    const writer = new ByteWriter()
    encodeValue(of, writer, 'value')
    return writer.take()
  }
  const values = [
    value({ a: [1, 2, { b: 'c' }], d: new Date(1), m: new Map([['k', new Set([1, 'x'])]]) }),
    value([[[[[[1n << 70n, -0, NaN, -7, '\ud800 ü 😀']]]]]]),
    value({ bytes: new Uint8Array(20), nothing: null, no: undefined })
  ]
  // Lists in lists, each of which claims all that is left.
  const liar = new ByteWriter()
  for (let left = 4000, level = 0; level < 60; level++) {
    liar.u8(value([])[0] as number)
    liar.varuint((left -= 3) - 1)
  }
  liar.bytes(new Uint8Array(3800))
  const entry = new ByteWriter()
  entry.varuint(0)
  entry.f64(1)
  entry.f64(2)
  entry.varuint(1)
  entry.string('timer')
  entry.f64(3)
  entry.varuint(0)
  entry.bytes(values[0] as Uint8Array)
  const schemas = [{ actor: 'A', version: 1, fields: [{ name: 'a', kind: 'value' }] }] as unknown as Parameters<
    typeof readEntry
  >[1]
  const message = new ByteWriter()
  message.block(text('key'))
  message.f64(1)
  message.string('in/0')
  message.f64(2)
  message.string('.1')
  message.string('00-1')
  message.bytes(values[1] as Uint8Array)
  const decisions = [
    { kind: 'leads', worker: 'w', generation: 1 },
    { kind: 'leads', worker: 'w', generation: 1, ends: { into: 2, lineage: 1, epoch: 3 } },
    { kind: 'begins', generation: 2, lineage: 1, parent: null, assignment: { tasks: ['w'], slots: [0] } },
    {
      kind: 'completed',
      epoch: 3,
      generation: 2,
      manifest: { name: 'm', hash: 'h' },
      final: false,
      savepoints: []
    }
  ] as const
  const checked = (bytes: Uint8Array): Uint8Array =>
    withU32(bytes, bytes.length - 4, crc32(bytes.subarray(0, Math.max(0, bytes.length - 4))))

  return [
    {
      name: 'manifests',
      seeds: [manifest],
      decode: bytes => taken(decodeManifest(bytes, sha256Hex(bytes), 'm')),
      codes: ['CORRUPT', 'FORMAT_NEWER', 'FORMAT_OLDER']
    },
    {
      name: 'deltas',
      seeds: [file],
      repair: bytes => repairStateFile(bytes, crc32),
      decode: bytes => taken([...readStateFile(bytes, 'f')].length),
      codes: ['CORRUPT', 'FORMAT_NEWER']
    },
    {
      name: 'outbox chunks',
      seeds: [outbox.finish().bytes.slice()],
      repair: checked,
      decode: bytes => taken(decodeChunk(bytes, 'f')),
      codes: ['CORRUPT']
    },
    {
      name: 'values',
      seeds: [...values, liar.take()],
      decode: bytes => {
        decodeValue(new ByteReader(bytes))
        return 'taken'
      },
      codes: ['CORRUPT']
    },
    {
      name: 'actors',
      seeds: [entry.take()],
      decode: bytes => {
        const { reader } = readEntry(bytes, schemas)
        decodeValue(reader)
        return 'taken'
      },
      codes: ['CORRUPT']
    },
    {
      name: 'recorded messages',
      seeds: [message.take()],
      decode: bytes => taken(decodeMessage(bytes)),
      codes: ['CORRUPT']
    },
    {
      name: 'decisions',
      seeds: decisions.map(each => encodeDecision(each, 'nonce')),
      repair(bytes) {
        try {
          const { decision, nonce } = JSON.parse(textOf(bytes)) as { decision: never; nonce: string }
          return encodeDecision(decision, nonce)
        } catch {
          return bytes
        }
      },
      decode: bytes => taken(decodeDecision(bytes, 'd')),
      codes: ['CORRUPT']
    },
    {
      name: 'ledger entries',
      seeds: [encodeEntry({ epoch: 1, chunk: 2, last: true, generation: 3, manifestHash: 'h', owner: 'o' })],
      decode: bytes => taken(decodeEntry(bytes)),
      codes: ['CORRUPT', 'FORMAT_NEWER']
    }
  ]
}

/** The checksum of the index, and the magic number behind it. */
function repairStateFile(bytes: Uint8Array, crc32: (bytes: Uint8Array) => number): Uint8Array {
  if (bytes.length < 21) return bytes
  const magic = 0x43524e44
  withU32(bytes, 0, magic)
  bytes[4] = 2
  const at = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(bytes.length - 16)
  if (Number.isSafeInteger(at) && at >= 5 && at <= bytes.length - 16)
    withU32(bytes, bytes.length - 8, crc32(bytes.subarray(at, bytes.length - 8)))
  return withU32(bytes, bytes.length - 4, magic)
}

async function settings(load: Load): Promise<Target[]> {
  const { parseS3 } = (await load('checkpoint/adapters/s3/s3-options.js')) as typeof S3Options
  const { parseError, parseListing } = (await load('checkpoint/adapters/s3/listing.js')) as typeof Listing
  const { resolveNatsOptions } = (await load('runtime/adapters/nats/nats-options.js')) as typeof NatsOptions
  const { parseDuration, parseSize } = (await load('runtime/kernel/durations.js')) as typeof Durations
  const { resolveSettings } = (await load('deploy/settings/resolve-settings.js')) as typeof Resolve
  const { allSettings, workerProblems, workerSettings } = (await load('deploy/settings/tables.js')) as typeof Tables
  const file = {
    storage: '/data',
    nats: ['nats://a:1', 'b:2'],
    name: 'w1',
    listen: '0.0.0.0:7400',
    tasks: 2,
    interval: '1s',
    store: 'level',
    cache: '64MiB',
    lostAfter: '5s'
  }
  const listing = `<?xml version="1.0"?><ListBucketResult xmlns="x"><Prefix>p</Prefix><IsTruncated>true</IsTruncated>
<NextContinuationToken>t</NextContinuationToken><Contents><Key>a&amp;b</Key></Contents>
<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes></ListBucketResult>`
  const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 's' }
  return [
    {
      name: 'configuration files',
      seeds: [json(file), json({ natsUser: 'a', natsPassword: 'b', metrics: ':9', parallelism: 3, check: true })],
      decode: bytes =>
        taken(
          resolveSettings(
            workerSettings,
            { flags: {}, environment: {}, file: { path: 'f', text: textOf(bytes) }, all: allSettings },
            workerProblems
          )
        ),
      codes: ['USAGE']
    },
    {
      name: 'storage addresses',
      seeds: ['s3://bucket/a/b?endpoint=http://host:9000&region=eu-1&style=path', 's3://b.c-d?style=host'].map(text),
      decode: bytes => taken(parseS3(textOf(bytes), keys)),
      codes: ['OPTION_INVALID']
    },
    {
      name: 'NATS options',
      seeds: [
        ['tls://h:4222', 'job', 'a.b'],
        ['[::1]:4222', 'j', 'cairn']
      ].map(parts => text(parts.join('\n'))),
      decode(bytes) {
        const [server = '', job = '', prefix = '', ...rest] = textOf(bytes).split('\n')
        return taken(resolveNatsOptions({ servers: [server, ...rest], job, prefix, leaseTtlMs: 1000 }))
      },
      codes: ['OPTION_INVALID']
    },
    {
      name: 'durations and sizes',
      seeds: ['250ms', '1.5s', '10m', '64MiB', '1GiB', '12'].map(text),
      decode(bytes) {
        const given = textOf(bytes)
        try {
          parseDuration(given as never, 'd')
          return 'taken'
        } catch (error) {
          if ((error as { name: string }).name !== 'CodedError') throw error
        }
        return taken(parseSize(given, 's'))
      },
      codes: ['OPTION_INVALID']
    },
    {
      name: 'answers of S3',
      seeds: [text(listing), text('<Error><Code>NoSuchKey</Code><Message>x &#x21;</Message></Error>')],
      decode(bytes) {
        const xml = textOf(bytes)
        parseError(xml)
        return taken(parseListing(xml))
      },
      codes: []
    }
  ]
}
