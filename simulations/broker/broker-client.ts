/** Requests of one client process as promises, with deadlines of its own clock. */
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Clock } from '../../runtime/ports/clock.ts'
import type { BrokerCluster } from './broker-cluster.ts'
import type { BrokerError, CallKind, Reply, Request } from './requests.ts'
import type { Deliver } from './world.ts'

/** A definite answer of a broker that is not success. */
export class BrokerRefusal extends Error {
  readonly error: BrokerError
  constructor(what: string, error: BrokerError) {
    super(`${what}: ${error}`)
    this.error = error
  }
}

/** Definitely not done, and a later attempt may succeed. */
const transient: readonly BrokerError[] = [
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'OFFSET_NOT_AVAILABLE',
  'CONCURRENT_TRANSACTIONS'
]

export class BrokerClient {
  readonly clock: Clock
  private readonly cluster: BrokerCluster
  private readonly deliver: Deliver
  private readonly timeoutMs: number

  constructor(cluster: BrokerCluster, clock: Clock, deliver: Deliver, timeoutMs = 2000) {
    this.cluster = cluster
    this.clock = clock
    this.deliver = deliver
    this.timeoutMs = timeoutMs
  }

  /** Rejects when no answer came in time: the request may have been executed, or may be executed later. */
  call<K extends CallKind>(kind: K, request: Request<K>, timeoutMs = this.timeoutMs): Promise<Reply<K>> {
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(timeoutMs, () => reject(new Error(`${kind}: no answer in ${timeoutMs} ms`)))
      this.cluster.call(kind, request, this.deliver, reply => {
        cancel()
        resolve(reply)
      })
    })
  }

  /** Asks again while the answer is a definite "not now", until `deadline` of this client's clock. */
  async settle<K extends CallKind>(
    kind: K,
    request: Request<K>,
    errorOf: (reply: Reply<K>) => BrokerError,
    deadline: number
  ): Promise<Reply<K>> {
    for (let pause = 10; ; pause = Math.min(200, pause * 2)) {
      const reply = await this.call(kind, request)
      const error = errorOf(reply)
      if (error === 'NONE') return reply
      if (!transient.includes(error) || this.clock.elapsed() + pause > deadline) throw new BrokerRefusal(kind, error)
      await this.pause(pause)
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise(resolve => this.clock.after(ms, resolve))
  }

  async partitions(topic: string): Promise<number> {
    const reply = await this.call('Metadata', { topics: [topic] })
    const found = reply.topics[0]
    if (found === undefined || found.error !== 'NONE') throw new CodedError('TOPIC_MISSING', `no topic "${topic}"`)
    return found.partitions.length
  }
}
