/**
 * Connections to a Kafka cluster and the running of protocols over them. Everything that is decided is decided in `runtime/kafka-protocol`;
 * this opens streams, keeps timers and hands bytes to and fro.
 */
import { reached } from '../../kernel/marks.ts'
import { ConnectionMachine, type ConnectionOptions, type Ended } from '../../kafka-protocol/connection-machine.ts'
import { ClusterView, type Ask, type Protocol, type Told } from '../../kafka-protocol/protocol.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ByteStream } from '../../ports/transport.ts'

export interface KafkaClientOptions extends ConnectionOptions {
  /** Any brokers of the cluster, `host:port`. */
  readonly bootstrap: readonly string[]
  readonly connect: (address: string) => Promise<ByteStream>
  readonly clock: Clock
  /** Of another client of the same cluster, to share what is known of it. */
  readonly view?: ClusterView
}

export class KafkaClient {
  readonly view: ClusterView
  private readonly options: KafkaClientOptions
  private readonly connections = new Map<string, Connection>()
  private readonly time: () => number
  private readonly pauses = new Set<() => void>()
  private turn = 0
  private closed = false

  constructor(options: KafkaClientOptions) {
    this.options = options
    this.view = options.view ?? new ClusterView()
    this.time = () => options.clock.elapsed()
  }

  /** Runs to the end; rejects with what the protocol throws. */
  async run<T>(begin: (now: number) => Protocol<T>): Promise<T> {
    const protocol = begin(this.time())
    for (let told: Told = { now: this.time(), ended: [] }; ;) {
      const step = protocol.next(told)
      if (step.done === true) return step.value
      // A protocol would try again until its time is over.
      if (this.closed) throw new Error('the client is closed')
      if (step.value.kind === 'wait') {
        await this.pause(step.value.ms)
        told = { now: this.time(), ended: [] }
      } else {
        const ended = await Promise.all(step.value.asks.map(ask => this.ask(ask)))
        told = { now: this.time(), ended }
      }
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const end = (): void => {
        cancel()
        this.pauses.delete(end)
        resolve()
      }
      const cancel = this.options.clock.after(ms, end)
      this.pauses.add(end)
    })
  }

  private ask(ask: Ask): Promise<Ended> {
    const address = ask.broker === 'any' ? this.anyAddress() : this.view.addresses.get(ask.broker)
    if (address === undefined || this.closed) {
      const error = new Error(this.closed ? 'the client is closed' : `nobody says where broker ${ask.broker} is`)
      return Promise.resolve({ kind: 'unsent', error })
    }
    return this.connection(address).ask(ask)
  }

  /** One that is connected, or the next in turn. */
  private anyAddress(): string | undefined {
    for (const [address, { ready }] of this.connections) if (ready) return address
    const known = [...new Set([...this.options.bootstrap, ...this.view.addresses.values()])]
    return known[this.turn++ % known.length]
  }

  private connection(address: string): Connection {
    let found = this.connections.get(address)
    if (found === undefined) {
      const forget = (): void => void this.connections.delete(address)
      found = new Connection(address, this.options, this.time, forget)
      this.connections.set(address, found)
    }
    return found
  }

  close(): void {
    this.closed = true
    for (const end of [...this.pauses]) end()
    for (const connection of [...this.connections.values()]) connection.close('the client is closed')
  }
}

class Connection {
  private readonly machine: ConnectionMachine
  private readonly clock: Clock
  private readonly time: () => number
  private readonly forget: () => void
  private readonly asked = new Map<number, (how: Ended) => void>()
  private stream: ByteStream | undefined
  private unwritten: Uint8Array[] = []
  private nextId = 0
  private alarm: { readonly at: number; readonly cancel: () => void } | undefined
  private over = false

  constructor(address: string, options: KafkaClientOptions, time: () => number, forget: () => void) {
    this.clock = options.clock
    this.time = time
    this.forget = forget
    this.machine = new ConnectionMachine(options, time())
    this.perform()
    options.connect(address).then(
      stream => this.attach(stream),
      (error: unknown) => this.close(`${address}: ${String(error)}`)
    )
  }

  get ready(): boolean {
    return this.machine.state === 'ready'
  }

  ask({ name, body, maxVersion, waitMs }: Ask): Promise<Ended> {
    return new Promise(resolve => {
      const id = this.nextId++
      this.asked.set(id, resolve)
      const options = {
        ...(maxVersion === undefined ? {} : { maxVersion }),
        ...(waitMs === undefined ? {} : { waitMs })
      }
      this.machine.send(id, name, body, this.time(), options)
      this.perform()
    })
  }

  private attach(stream: ByteStream): void {
    if (this.over) return stream.close()
    this.stream = stream
    stream.onData(bytes => {
      this.machine.receive(bytes, this.time())
      this.perform()
    })
    stream.onClose(reason => this.close(reason))
    for (const bytes of this.unwritten.splice(0)) stream.write(bytes)
  }

  close(reason: string): void {
    this.machine.closed(reason)
    this.perform()
  }

  private perform(): void {
    for (const action of this.machine.take())
      switch (action.kind) {
        case 'write':
          if (this.stream === undefined) this.unwritten.push(action.bytes)
          else this.stream.write(action.bytes)
          break
        case 'ended': {
          const told = this.asked.get(action.id)
          this.asked.delete(action.id)
          told?.(action.how)
          break
        }
        case 'broken':
          reached('kafka: a connection broke')
          this.over = true
          this.forget()
          this.stream?.close()
      }
    this.arm()
  }

  /** One timer, for the earliest deadline. */
  private arm(): void {
    const { deadline } = this.machine
    if (this.alarm !== undefined && this.alarm.at <= deadline && deadline !== Infinity) return
    this.alarm?.cancel()
    this.alarm = undefined
    if (deadline === Infinity) return
    const ring = (): void => {
      this.alarm = undefined
      this.machine.elapsed(this.time())
      this.perform()
    }
    this.alarm = { at: deadline, cancel: this.clock.after(Math.max(1, deadline - this.time()), ring) }
  }
}
