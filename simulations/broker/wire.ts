/**
 * The byte-level front end of the simulated brokers: streams in, requests of `BrokerCluster` out, with everything that can go wrong.
 *
 * A connection is served one request at a time, as brokers do; what a client has sent before it went away is executed all the same.
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import type { ByteStream, Transport } from '../../runtime/ports/transport.ts'
import { failed, type BrokerCluster } from './broker-cluster.ts'
import type { CallKind, Reply, Request } from './requests.ts'
import { Cursor, Out, WireError } from './wire-bytes.ts'
import { wireApis, type Places } from './wire-messages.ts'

export interface WireOptions {
  readonly prng: Prng
  /** Which versions are offered: those of Kafka 4, or those of brokers from before compact lengths. */
  readonly dialect?: 'new' | 'old'
  /** Asked for by PLAIN, when given. */
  readonly login?: { readonly user: string; readonly password: string }
}

type Range = readonly [min: number, max: number]
const dialects: Readonly<Record<'new' | 'old', Readonly<Record<CallKind | 'Sasl' | 'Handshake' | 'Versions', Range>>>> =
  {
    new: {
      Produce: [3, 12],
      Fetch: [4, 17],
      ListOffsets: [1, 10],
      Metadata: [0, 13],
      FindCoordinator: [0, 6],
      InitProducerId: [0, 5],
      AddPartitionsToTxn: [0, 5],
      AddOffsetsToTxn: [0, 4],
      EndTxn: [0, 5],
      TxnOffsetCommit: [0, 5],
      OffsetCommit: [2, 9],
      DescribeConfigs: [1, 4],
      Versions: [0, 4],
      Handshake: [0, 1],
      Sasl: [0, 2]
    },
    old: {
      Produce: [0, 8],
      Fetch: [0, 11],
      ListOffsets: [0, 5],
      Metadata: [0, 8],
      FindCoordinator: [0, 2],
      InitProducerId: [0, 3],
      AddPartitionsToTxn: [0, 1],
      AddOffsetsToTxn: [0, 1],
      EndTxn: [0, 1],
      TxnOffsetCommit: [0, 2],
      OffsetCommit: [2, 7],
      DescribeConfigs: [0, 2],
      Versions: [0, 2],
      Handshake: [0, 1],
      Sasl: [0, 1]
    }
  }

const kinds = Object.keys(wireApis) as CallKind[]
const versionsKey = 18
const handshakeKey = 17
const saslKey = 36
const largestFrame = 100 * 1024 * 1024

/** Makes every broker listen at its transport. Answers the addresses; the world's time must be running. */
export async function serveBrokers(
  cluster: BrokerCluster,
  transports: readonly Transport[],
  options: WireOptions
): Promise<string[]> {
  const addresses: string[] = []
  const places: Places = broker => {
    const [host = '', port = ''] = (addresses[broker] ?? '').split(':')
    return { host, port: Number(port) }
  }
  for (const [broker, transport] of transports.entries()) {
    const prng = options.prng.fork(`wire ${broker}`)
    const accept = (stream: ByteStream): void => void new Served(cluster, broker, stream, places, { ...options, prng })
    addresses.push((await transport.listen(accept)).address)
  }
  return addresses
}

/** One client's connection to one broker. */
class Served {
  private readonly cluster: BrokerCluster
  private readonly broker: number
  private readonly stream: ByteStream
  private readonly places: Places
  private readonly options: WireOptions
  private received = new Uint8Array(0)
  private frames: Uint8Array[] = []
  private busy = false
  private gone = false
  private mute = false
  private trusted: boolean

  constructor(cluster: BrokerCluster, broker: number, stream: ByteStream, places: Places, options: WireOptions) {
    this.cluster = cluster
    this.broker = broker
    this.stream = stream
    this.places = places
    this.options = options
    this.trusted = options.login === undefined
    stream.onData(bytes => this.data(bytes))
    stream.onClose(() => (this.gone = true))
  }

  private data(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.received.length + bytes.length)
    joined.set(this.received)
    joined.set(bytes, this.received.length)
    this.received = joined
    for (;;) {
      const { received } = this
      if (received.length < 4) break
      const size = new Cursor(received).int32()
      if (size < 8 || size > largestFrame) return this.drop()
      if (received.length < 4 + size) break
      this.frames.push(received.slice(4, 4 + size))
      this.received = received.slice(4 + size)
    }
    this.next()
  }

  private drop(): void {
    if (!this.gone) this.stream.close()
    this.gone = true
  }

  private next(): void {
    if (this.busy) return
    if (this.cluster.isDown(this.broker)) {
      this.frames = []
      return this.drop()
    }
    const frame = this.frames.shift()
    if (frame === undefined) return
    this.busy = true
    try {
      this.serve(frame)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.cluster.malformed.push(error.message)
      reached('broker: a request that is none')
      this.drop()
      this.served(undefined)
    }
  }

  /** The reply goes out, and the next request is looked at. */
  private served(reply: Out | undefined): void {
    this.busy = false
    if (reply !== undefined && !this.gone && !this.mute) {
      const bytes = reply.take()
      this.stream.write(new Out().int32(bytes.length).raw(bytes).take())
    }
    this.next()
  }

  private serve(frame: Uint8Array): void {
    const cursor = new Cursor(frame)
    const key = cursor.int16()
    const version = cursor.int16()
    const correlation = cursor.int32()
    cursor.string(false)
    if (key === versionsKey) return this.served(this.versions(cursor, version, correlation))
    if (key === handshakeKey || key === saslKey) return this.login(key, cursor, version, correlation)
    if (!this.trusted) return this.refuse('a request before authentication')
    const kind = kinds.find(each => wireApis[each].key === key)
    if (kind === undefined) return this.refuse(`request ${key}`)
    const [min, max] = dialects[this.options.dialect ?? 'new'][kind]
    if (version < min || version > max) return this.refuse(`${kind} in version ${version}`)
    this.request(kind, cursor, version, correlation)
  }

  private refuse(what: string): void {
    throw new WireError(what)
  }

  private versions(cursor: Cursor, version: number, correlation: number): Out {
    const { Handshake, Sasl, Versions, ...others } = dialects[this.options.dialect ?? 'new']
    const known = version <= Versions[1]
    const compact = known && version >= 3
    if (compact) {
      cursor.tags(true)
      cursor.string(true)
      cursor.string(true)
      cursor.tags(true)
      cursor.done()
    }
    const list: [number, Range][] = kinds.map(kind => [wireApis[kind].key, others[kind]])
    list.push([handshakeKey, Handshake], [versionsKey, Versions], [saslKey, Sasl])
    const out = new Out().int32(correlation).int16(known ? 0 : 35)
    out.array(compact, list, ([key, [min, max]]) => {
      out.int16(key).int16(min).int16(max).tags(compact)
    })
    if (known && version >= 1) out.int32(0)
    if (!compact) return out
    const level = this.cluster.options.transactionVersion
    const features = new Out().uvarint(2).string(true, 'transaction.version').int16(level).int16(level).tags(true)
    // Tag 1: their epoch; tag 2: the features.
    return out.uvarint(2).uvarint(1).uvarint(8).int64(7).uvarint(2).uvarint(features.size).raw(features.take())
  }

  private login(key: number, cursor: Cursor, version: number, correlation: number): void {
    const compact = key === saslKey && version >= 2
    cursor.tags(compact)
    const out = new Out().int32(correlation).tags(compact)
    if (key === handshakeKey) {
      const plain = cursor.string(false) === 'PLAIN'
      return this.served(out.int16(plain ? 0 : 33).array(false, ['PLAIN'], name => out.string(false, name)))
    }
    const given = new TextDecoder().decode(cursor.bytes(compact))
    const { user = '', password = '' } = this.options.login ?? {}
    this.trusted = given === `\0${user}\0${password}`
    if (!this.trusted) reached('broker: a wrong password')
    out
      .int16(this.trusted ? 0 : 58)
      .string(compact, undefined)
      .bytes(compact, new Uint8Array(0))
    if (version >= 1) out.int64(0)
    this.served(out.tags(compact))
  }

  private request<K extends CallKind>(kind: K, cursor: Cursor, version: number, correlation: number): void {
    const api = wireApis[kind]
    const compact = version >= api.flexible
    cursor.tags(compact)
    const request: Request<K> = api.read(cursor, version, compact)
    cursor.tags(compact)
    cursor.done()
    const { cluster } = this
    const treatment = cluster.faults.treat(kind, cluster.now)
    const answer = (reply: Reply<K>): void => {
      if (treatment.loseReply && !treatment.late) this.lose()
      const out = new Out().int32(correlation).tags(compact)
      api.write(out, version, compact, reply, request, this.places)
      this.served(out)
    }
    // Whoever waits for it hears nothing any more; what was sent is executed all the same, and what comes behind it too.
    if (treatment.late) this.mute = true
    const execute = (): void => {
      if (treatment.before !== undefined) return answer(failed(kind, request, treatment.before))
      const { after } = treatment
      const done = (reply: Reply<K>): void => answer(after === undefined ? reply : failed(kind, request, after))
      cluster.handle(kind, request, done, this.broker)
    }
    if (treatment.delayMs === 0) execute()
    else cluster.options.world.schedule(treatment.delayMs, execute, `late ${kind}`)
  }

  /** The connection breaks, or stays open and says nothing. */
  private lose(): void {
    if (this.options.prng.int(2) === 0) this.mute = true
    else this.drop()
  }
}
