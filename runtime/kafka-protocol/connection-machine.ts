/**
 * One connection to a broker, without I/O: bytes and times in, bytes and replies out. Owned by whoever owns the stream.
 *
 *     opening ──ApiVersions──▶ [SaslHandshake ──▶ SaslAuthenticate …] ──▶ ready ──▶ broken
 *
 * 1. Requests are written in the order of `send`, none before the connection is ready; replies come in that order, or the connection is
 *    broken: nothing is ever taken for the answer to another question.
 * 2. A request ends exactly once: answered, lost (written; may have been executed, or may be later) or unsent (never left).
 * 3. Where sessions end, the connection authenticates again before the first request that would come too late; what was written before is
 *    answered first.
 * 4. No frame larger than `maxFrameBytes` is kept; at most `maxInFlight` requests are under way.
 */
import { ByteReader } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import { decodeReply, encodeRequest } from './codec.ts'
import { KafkaRefusal } from './error-names.ts'
import { apiOf, type ApiName, type ReplyOf, type RequestOf } from './messages.ts'

/** What both sides can do, known once a connection is ready. */
export interface BrokerAbilities {
  /** Versions of the broker by key. */
  readonly versions: ReadonlyMap<number, readonly [min: number, max: number]>
  /** The level of the feature `transaction.version`; 0 = not named. */
  readonly transactionVersion: number
}

export type Ended =
  | { readonly kind: 'answered'; readonly reply: unknown; readonly abilities: BrokerAbilities }
  | { readonly kind: 'lost'; readonly error: Error }
  | { readonly kind: 'unsent'; readonly error: Error }

export type ConnectionAction =
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  | { readonly kind: 'ended'; readonly id: number; readonly how: Ended }
  /** Close the stream; told once. */
  | { readonly kind: 'broken'; readonly error: Error }

/** One exchange of a SASL mechanism; PLAIN needs one step, SCRAM two. */
export interface SaslExchange {
  readonly mechanism: string
  first(): Uint8Array
  /** The next message, or undefined when the server has said all that was needed. Throws when the server is not whom it claims to be. */
  next(challenge: Uint8Array): Uint8Array | undefined
}

export interface ConnectionOptions {
  readonly clientId: string
  /** A fresh exchange for each authentication: when a connection opens, and before its session ends. */
  readonly sasl?: () => SaslExchange
  /** Larger: one frame of a broken or hostile peer takes so much memory. */
  readonly maxFrameBytes?: number
  /** Larger: more waits behind one slow request. */
  readonly maxInFlight?: number
  /** Until a reply has come. Larger: a silent broker is noticed later. */
  readonly requestTimeoutMs?: number
}

interface Pending {
  readonly id: number
  readonly name: ApiName
  readonly body: RequestOf<ApiName>
  /** Versions above are not used, though both sides know them. */
  readonly maxVersion: number
  readonly deadline: number
  version: number
  correlationId: number
  /** Requests of the connection itself have none. */
  readonly then: ((reply: never) => void) | undefined
}

const noAbilities: BrokerAbilities = { versions: new Map(), transactionVersion: 0 }
const unsupportedVersion = 35
/** Of a session's lifetime: a larger one leaves a request less time to arrive before the session has ended. */
const sessionShare = 0.8

export class ConnectionMachine {
  state: 'opening' | 'authenticating' | 'ready' | 'broken' = 'opening'
  private abilities = noAbilities
  private readonly options: Required<Omit<ConnectionOptions, 'sasl'>>
  private readonly sasl: (() => SaslExchange) | undefined
  /** Before then the broker wants to hear again who this is (KIP-368), or it closes the connection. */
  private sessionEndsAt = Infinity
  private actions: ConnectionAction[] = []
  private waiting: Pending[] = []
  private inFlight: Pending[] = []
  private nextCorrelation = 1
  private parts: Uint8Array[] = []
  private received = 0
  private now: number

  constructor(options: ConnectionOptions, now: number) {
    const { sasl, ...others } = options
    this.sasl = sasl
    this.options = { maxFrameBytes: 64 * 1024 * 1024, maxInFlight: 16, requestTimeoutMs: 30_000, ...others }
    this.now = now
    this.askVersions(apiOf('ApiVersions').versions[1])
  }

  /** What is to be done now; each action is told once. */
  take(): readonly ConnectionAction[] {
    const { actions } = this
    this.actions = []
    return actions
  }

  /** `waitMs`: what the broker itself may wait before it answers. */
  send<N extends ApiName>(
    id: number,
    name: N,
    body: RequestOf<N>,
    now: number,
    { maxVersion = Infinity, waitMs = 0 }: { readonly maxVersion?: number; readonly waitMs?: number } = {}
  ): void {
    this.now = now
    const deadline = now + this.options.requestTimeoutMs + waitMs
    const pending: Pending = {
      id,
      name,
      body: body as RequestOf<ApiName>,
      maxVersion,
      deadline,
      version: 0,
      correlationId: 0,
      then: undefined
    }
    if (this.state === 'broken') this.end(pending, { kind: 'unsent', error: new Error('the connection is broken') })
    else this.waiting.push(pending)
    this.flush()
  }

  receive(bytes: Uint8Array, now: number): void {
    if (this.state === 'broken') return
    this.now = now
    this.parts.push(bytes)
    this.received += bytes.length
    try {
      for (let frame = this.nextFrame(); frame !== undefined; frame = this.nextFrame()) this.frame(frame)
    } catch (error) {
      reached('kafka: a malformed reply')
      this.breakWith(error as Error)
    }
    this.flush()
  }

  /** The stream has ended, or could not be opened. */
  closed(reason: string): void {
    this.breakWith(new Error(reason))
  }

  /** When `elapsed` wants to be called, at the latest. */
  get deadline(): number {
    const all = [...this.inFlight, ...this.waiting]
    return all.reduce((first, { deadline }) => Math.min(first, deadline), Infinity)
  }

  /** Replies come in order: when one is missing, so are all behind it. */
  elapsed(now: number): void {
    this.now = now
    if (now < this.deadline) return
    reached('kafka: no reply in time')
    const late = this.inFlight[0] ?? this.waiting[0]
    this.breakWith(new Error(`no reply to ${late?.name ?? ''} in time`))
  }

  private end(pending: Pending, how: Ended): void {
    if (pending.then === undefined) this.actions.push({ kind: 'ended', id: pending.id, how })
  }

  private breakWith(error: Error): void {
    if (this.state === 'broken') return
    this.state = 'broken'
    const { inFlight, waiting } = this
    this.inFlight = []
    this.waiting = []
    this.parts = []
    for (const pending of inFlight) this.end(pending, { kind: 'lost', error })
    for (const pending of waiting) this.end(pending, { kind: 'unsent', error })
    this.actions.push({ kind: 'broken', error })
  }

  private flush(): void {
    if (
      this.state === 'ready' &&
      this.waiting.length > 0 &&
      this.now >= this.sessionEndsAt &&
      this.sasl !== undefined
    ) {
      reached('kafka: authenticates again')
      this.authenticate(this.sasl())
    }
    while (this.state === 'ready' && this.inFlight.length < this.options.maxInFlight) {
      const next = this.waiting.shift()
      if (next === undefined) return
      const version = this.versionOf(next.name, next.maxVersion)
      if (version === undefined) {
        this.end(next, { kind: 'unsent', error: new KafkaRefusal(next.name, unsupportedVersion) })
        continue
      }
      next.version = version
      this.write(next)
    }
  }

  /** The newest that both know. */
  private versionOf(name: ApiName, maxVersion: number): number | undefined {
    const { key, versions } = apiOf(name)
    const theirs = this.abilities.versions.get(key)
    if (theirs === undefined) return undefined
    const version = Math.min(versions[1], theirs[1], maxVersion)
    return version >= Math.max(versions[0], theirs[0]) ? version : undefined
  }

  private write(pending: Pending): void {
    const correlationId = this.nextCorrelation
    this.nextCorrelation = correlationId === 0x7fffffff ? 1 : correlationId + 1
    this.inFlight.push(pending)
    pending.correlationId = correlationId
    const header = { version: pending.version, correlationId, clientId: this.options.clientId }
    this.actions.push({ kind: 'write', bytes: encodeRequest(pending.name, header, pending.body) })
  }

  private nextFrame(): Uint8Array | undefined {
    if (this.received < 4) return undefined
    if (this.parts.length > 1) {
      // Joined only when a frame may be complete, so that many small chunks of a large frame are not copied again and again.
      const size = this.peekSize()
      if (this.received < 4 + size) return undefined
      const joined = new Uint8Array(this.received)
      let at = 0
      for (const part of this.parts) {
        joined.set(part, at)
        at += part.length
      }
      this.parts = [joined]
    }
    const size = this.peekSize()
    if (this.received < 4 + size) return undefined
    const all = this.parts[0] as Uint8Array
    const rest = all.subarray(4 + size)
    this.parts = rest.length === 0 ? [] : [rest]
    this.received = rest.length
    return all.subarray(4, 4 + size)
  }

  private peekSize(): number {
    let size = 0
    let count = 0
    for (const part of this.parts)
      for (let i = 0; i < part.length && count < 4; i++, count++) size = size * 256 + (part[i] as number)
    if (size > this.options.maxFrameBytes || size < 4)
      throw new CodedError('CORRUPT', `a Kafka frame of ${size} bytes; the limit is ${this.options.maxFrameBytes}`)
    return size
  }

  private frame(bytes: Uint8Array): void {
    const reader = new ByteReader(bytes)
    const correlationId = reader.u32()
    const pending = this.inFlight[0]
    if (pending === undefined || pending.correlationId !== correlationId) {
      reached('kafka: a reply to another question')
      throw new CodedError('CORRUPT', `a Kafka reply to request ${correlationId}, which is not the oldest`)
    }
    const version = pending.name === 'ApiVersions' ? versionOfReply(bytes, pending.version) : pending.version
    const reply = decodeReply(pending.name, version, reader)
    this.inFlight.shift()
    if (pending.then !== undefined) pending.then(reply as never)
    else this.end(pending, { kind: 'answered', reply, abilities: this.abilities })
  }

  /** A request of the connection itself, which waits for nothing. */
  private own<N extends ApiName>(
    name: N,
    version: number,
    body: RequestOf<N>,
    then: (reply: ReplyOf<N>) => void
  ): void {
    const deadline = this.now + this.options.requestTimeoutMs
    const request = {
      id: -1,
      name,
      body: body as RequestOf<ApiName>,
      maxVersion: version,
      deadline,
      version,
      correlationId: 0
    }
    this.write({ ...request, then: then as (reply: never) => void })
  }

  private askVersions(version: number): void {
    const body = { clientSoftwareName: 'cairn', clientSoftwareVersion: '1' }
    this.own('ApiVersions', version, body, reply => {
      const versions = new Map(reply.apiKeys.map(each => [each.apiKey, [each.minVersion, each.maxVersion] as const]))
      if (reply.errorCode === unsupportedVersion && version > 0) {
        reached('kafka: an older broker')
        return this.askVersions(Math.min(versions.get(apiOf('ApiVersions').key)?.[1] ?? 0, version - 1))
      }
      if (reply.errorCode !== 0) throw new KafkaRefusal('ApiVersions', reply.errorCode)
      const feature = reply.finalizedFeatures.find(({ name }) => name === 'transaction.version')
      this.abilities = { versions, transactionVersion: feature?.maxVersionLevel ?? 0 }
      if (this.sasl === undefined) this.state = 'ready'
      else this.authenticate(this.sasl())
    })
  }

  private authenticate(sasl: SaslExchange): void {
    this.state = 'authenticating'
    const { mechanism } = sasl
    this.own('SaslHandshake', 1, { mechanism }, ({ errorCode, mechanisms }) => {
      if (errorCode !== 0) throw new KafkaRefusal(`SASL ${mechanism} (there is ${mechanisms.join(', ')})`, errorCode)
      this.exchange(sasl, sasl.first())
    })
  }

  private exchange(sasl: SaslExchange, message: Uint8Array): void {
    const version = this.versionOf('SaslAuthenticate', Infinity) ?? 0
    this.own('SaslAuthenticate', version, { authBytes: message }, ({ errorCode, authBytes, sessionLifetimeMs }) => {
      // What the server says about it may name secrets.
      if (errorCode !== 0) throw new KafkaRefusal(`SASL ${sasl.mechanism}`, errorCode)
      const next = sasl.next(authBytes)
      if (next !== undefined) return this.exchange(sasl, next)
      this.state = 'ready'
      this.sessionEndsAt = sessionLifetimeMs > 0 ? this.now + sessionLifetimeMs * sessionShare : Infinity
    })
  }
}

/** A broker that does not know the version of the question answers in version 0, whatever was asked. */
function versionOfReply(frame: Uint8Array, asked: number): number {
  const reader = new ByteReader(frame)
  reader.u32()
  return reader.u16() === unsupportedVersion ? 0 : asked
}

export function saslPlain(user: string, password: string): SaslExchange {
  return {
    mechanism: 'PLAIN',
    first: () => new TextEncoder().encode(`\0${user}\0${password}`),
    next: () => undefined
  }
}
