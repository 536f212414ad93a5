/** One connection: order, versions, authentication, and how each request ends exactly once. */
import t from 'tap'
import { ByteWriter } from '../../../runtime/kernel/bytes.ts'
import { writeValue } from '../../../runtime/kafka-protocol/codec.ts'
import {
  ConnectionMachine,
  saslPlain,
  type SaslExchange,
  type ConnectionAction,
  type ConnectionOptions
} from '../../../runtime/kafka-protocol/connection-machine.ts'
import { apiOf, type ApiName, type ReplyOf } from '../../../runtime/kafka-protocol/messages.ts'

/** A frame as a broker sends it. */
function frame<N extends ApiName>(name: N, version: number, correlationId: number, reply: ReplyOf<N>): Uint8Array {
  const { flexibleFrom, reply: schema } = apiOf(name)
  const flexible = version >= flexibleFrom
  const writer = new ByteWriter()
  writer.u32(0)
  writer.u32(correlationId)
  if (flexible && name !== 'ApiVersions') writer.varuint(0)
  writeValue(writer, schema, reply, version, flexible)
  writer.patchU32(0, writer.length - 4)
  return writer.take()
}

const asked = (bytes: Uint8Array): { key: number; version: number; correlationId: number } => {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { key: view.getInt16(4), version: view.getInt16(6), correlationId: view.getInt32(8) }
}

const range = (name: ApiName, minVersion: number, maxVersion: number): ReplyOf<'ApiVersions'>['apiKeys'][number] => ({
  apiKey: apiOf(name).key,
  minVersion,
  maxVersion
})

const versions = (change: Partial<ReplyOf<'ApiVersions'>> = {}): ReplyOf<'ApiVersions'> => ({
  errorCode: 0,
  apiKeys: [
    range('EndTxn', 0, 5),
    range('Metadata', 0, 9),
    range('SaslAuthenticate', 0, 1),
    range('ApiVersions', 0, 4)
  ],
  throttleTimeMs: 0,
  supportedFeatures: [],
  finalizedFeaturesEpoch: -1,
  finalizedFeatures: [{ name: 'transaction.version', minVersionLevel: 2, maxVersionLevel: 2 }],
  ...change
})

const options: ConnectionOptions = { clientId: 'c', requestTimeoutMs: 100 }
const end = { transactionalId: 'a', producerId: 1, producerEpoch: 2, committed: true }
const endReply = { throttleTimeMs: 0, errorCode: 0, producerId: 1, producerEpoch: 3 }
const written = (actions: readonly ConnectionAction[]): ReturnType<typeof asked>[] =>
  actions.flatMap(action => (action.kind === 'write' ? [asked(action.bytes)] : []))
const ended = (actions: readonly ConnectionAction[]): [number, string][] =>
  actions.flatMap((action): [number, string][] => (action.kind === 'ended' ? [[action.id, action.how.kind]] : []))

function ready(change: Partial<ConnectionOptions> = {}): ConnectionMachine {
  const machine = new ConnectionMachine({ ...options, ...change }, 0)
  machine.take()
  machine.receive(frame('ApiVersions', 4, 1, versions()), 1)
  machine.take()
  return machine
}

void t.test('nothing is sent before both sides know what they can do', t => {
  const machine = new ConnectionMachine(options, 0)
  machine.send(7, 'EndTxn', end, 0)
  t.same(written(machine.take()), [{ key: 18, version: 4, correlationId: 1 }])
  machine.receive(frame('ApiVersions', 4, 1, versions()), 1)
  t.same(written(machine.take()), [{ key: 26, version: 5, correlationId: 2 }])
  machine.receive(frame('EndTxn', 5, 2, endReply), 2)
  t.match(machine.take(), [
    { kind: 'ended', id: 7, how: { kind: 'answered', reply: endReply, abilities: { transactionVersion: 2 } } }
  ])
  t.end()
})

void t.test('an older broker answers in version 0, whatever was asked, and is asked again', t => {
  const machine = new ConnectionMachine(options, 0)
  machine.take()
  machine.receive(frame('ApiVersions', 0, 1, versions({ errorCode: 35, apiKeys: [range('ApiVersions', 0, 2)] })), 1)
  t.same(written(machine.take()), [{ key: 18, version: 2, correlationId: 2 }])
  machine.receive(frame('ApiVersions', 2, 2, versions()), 1)
  t.equal(machine.state, 'ready')
  t.end()
})

void t.test('the newest version that both know and the caller allows; none is told as unsent', t => {
  const machine = ready()
  machine.send(1, 'EndTxn', end, 1, { maxVersion: 4 })
  t.same(written(machine.take()), [{ key: 26, version: 4, correlationId: 2 }])
  machine.send(2, 'Fetch', {} as never, 1)
  t.same(ended(machine.take()), [[2, 'unsent']])
  t.end()
})

void t.test('replies may come in any pieces', t => {
  const machine = ready()
  machine.send(1, 'EndTxn', end, 1)
  machine.send(2, 'EndTxn', end, 1)
  machine.take()
  const bytes = Buffer.concat([frame('EndTxn', 5, 2, endReply), frame('EndTxn', 5, 3, endReply)])
  for (const byte of bytes) machine.receive(Uint8Array.of(byte), 2)
  t.same(ended(machine.take()), [
    [1, 'answered'],
    [2, 'answered']
  ])
  t.end()
})

void t.test('a reply to another question breaks the connection: what was written is lost', t => {
  const machine = ready({ maxInFlight: 2 })
  for (const id of [1, 2, 3]) machine.send(id, 'EndTxn', end, 1)
  machine.take()
  machine.receive(frame('EndTxn', 5, 3, endReply), 2)
  const actions = machine.take()
  t.same(ended(actions), [
    [1, 'lost'],
    [2, 'lost'],
    [3, 'unsent']
  ])
  t.equal(actions.at(-1)?.kind, 'broken')
  machine.send(4, 'EndTxn', end, 3)
  t.same(ended(machine.take()), [[4, 'unsent']])
  machine.receive(frame('EndTxn', 5, 2, endReply), 4)
  machine.closed('again')
  t.same(machine.take(), [], 'told once')
  t.end()
})

void t.test('a frame that is too large, too small or malformed breaks the connection', t => {
  const bad = [
    Uint8Array.of(0x7f, 255, 255, 255),
    Uint8Array.of(255, 255, 255, 255),
    Uint8Array.of(0, 0, 0, 3, 0, 0, 0),
    Uint8Array.of(0, 0, 0, 5, 0, 0, 0, 2, 9)
  ]
  for (const bytes of bad) {
    const machine = ready({ maxFrameBytes: 1000 })
    machine.send(1, 'EndTxn', end, 1)
    machine.take()
    machine.receive(bytes, 2)
    t.match(machine.take().at(-1), { kind: 'broken', error: { code: 'CORRUPT' } })
  }
  t.end()
})

void t.test('a reply that does not come in time breaks the connection; what the broker may wait counts', t => {
  const machine = ready()
  t.equal(machine.deadline, Infinity)
  machine.send(1, 'EndTxn', end, 10, { waitMs: 50 })
  t.equal(machine.deadline, 160)
  machine.elapsed(159)
  machine.take()
  t.equal(machine.state, 'ready')
  machine.elapsed(160)
  t.same(ended(machine.take()), [[1, 'lost']])
  const opening = new ConnectionMachine(options, 0)
  opening.send(1, 'EndTxn', end, 0)
  opening.elapsed(100)
  t.same(ended(opening.take()), [[1, 'unsent']], 'the stream was never there')
  t.end()
})

void t.test('authentication comes before everything else, and its failure is told without secrets', t => {
  const begin = (): ConnectionMachine => {
    const machine = new ConnectionMachine({ ...options, sasl: () => saslPlain('me', 'secret') }, 0)
    machine.send(1, 'EndTxn', end, 0)
    machine.take()
    machine.receive(frame('ApiVersions', 4, 1, versions()), 1)
    t.same(written(machine.take()), [{ key: 17, version: 1, correlationId: 2 }])
    machine.receive(frame('SaslHandshake', 1, 2, { errorCode: 0, mechanisms: ['PLAIN'] }), 1)
    return machine
  }
  const good = begin()
  const [message] = good.take()
  t.ok(message?.kind === 'write' && Buffer.from(message.bytes).includes('\0me\0secret'))
  const reply = { errorCode: 0, errorMessage: null, authBytes: new Uint8Array(0), sessionLifetimeMs: 0 }
  good.receive(frame('SaslAuthenticate', 1, 3, reply), 1)
  t.same(written(good.take()), [{ key: 26, version: 5, correlationId: 4 }])
  const bad = begin()
  bad.take()
  bad.receive(frame('SaslAuthenticate', 1, 3, { ...reply, errorCode: 58, errorMessage: 'secret is wrong' }), 1)
  const actions = bad.take()
  t.same(ended(actions), [[1, 'unsent']])
  t.match(actions.at(-1), { kind: 'broken', error: { message: 'SASL PLAIN: SASL_AUTHENTICATION_FAILED' } })
  t.end()
})

void t.test('a session that ends is renewed before the next request, behind what is under way', t => {
  let exchanges = 0
  const sasl = (): SaslExchange => {
    exchanges++
    return saslPlain('me', 'secret')
  }
  const machine = new ConnectionMachine({ ...options, sasl }, 0)
  machine.receive(frame('ApiVersions', 4, 1, versions()), 0)
  machine.receive(frame('SaslHandshake', 1, 2, { errorCode: 0, mechanisms: ['PLAIN'] }), 0)
  const reply = { errorCode: 0, errorMessage: null, authBytes: new Uint8Array(0), sessionLifetimeMs: 1000 }
  machine.receive(frame('SaslAuthenticate', 1, 3, reply), 0)
  machine.send(1, 'EndTxn', end, 799)
  machine.take()
  machine.send(2, 'EndTxn', end, 800)
  t.same(written(machine.take()), [{ key: 17, version: 1, correlationId: 5 }], 'asked who this is first')
  machine.receive(frame('EndTxn', 5, 4, endReply), 801)
  t.same(ended(machine.take()), [[1, 'answered']])
  machine.receive(frame('SaslHandshake', 1, 5, { errorCode: 0, mechanisms: ['PLAIN'] }), 802)
  machine.take()
  machine.receive(frame('SaslAuthenticate', 1, 6, reply), 803)
  t.same(written(machine.take()), [{ key: 26, version: 5, correlationId: 7 }])
  t.equal(exchanges, 2)
  t.end()
})
