/**
 * The processes of a chaos run: nats-server and workers, in a network that can be cut. A worker that ends by itself with an error is
 * started again, as a supervisor would, and that is told.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { NamespaceNetwork } from './namespace-network.ts'
import { NatsProcess } from './nats-process.ts'
import type { ChaosNetwork, NetworkName, Place } from './network.ts'
import { ProxyNetwork } from './proxy-network.ts'
import { WorkerChild, type Said } from './worker-child.ts'

export interface WorldOptions {
  readonly folder: string
  /** The command line: arguments of node before those of the command. */
  readonly cairn: readonly string[]
  readonly natsProgram: string
  /** Below `folder`. */
  readonly job: string
  readonly lostAfter: string
  /** Default: proxies. Namespaces: this process is in one of its own (`insideNamespace`). */
  readonly network?: NetworkName
  /** Further flags of each worker. */
  readonly flags?: Readonly<Record<string, string>>
  readonly say: (text: string) => void
}

/** `over`: it has ended with exit code 0. */
export type WorkerState = 'up' | 'down' | 'paused' | 'leaving' | 'over'

export interface Managed {
  readonly name: string
  readonly place: Place
  child: WorkerChild | undefined
  state: WorkerState
  lives: number
}

export interface Unasked {
  readonly worker: string
  readonly code: number | string
  readonly why: string
}

const startAgainMs = 500

export class World {
  readonly nats: NatsProcess
  readonly network: ChaosNetwork
  readonly workers: Managed[] = []
  /** Ends that nobody asked for. */
  readonly unasked: Unasked[] = []
  /** Told of each line of each worker. */
  onSaid: ((worker: string, line: Said) => void) | undefined
  private readonly options: WorldOptions
  private closed = false

  private constructor(options: WorldOptions, nats: NatsProcess, network: ChaosNetwork) {
    this.options = options
    this.nats = nats
    this.network = network
  }

  static async start(options: WorldOptions): Promise<World> {
    mkdirSync(join(options.folder, 'logs'), { recursive: true })
    const server = { program: options.natsProgram, folder: join(options.folder, 'nats') }
    if (options.network !== 'namespaces') {
      const nats = await NatsProcess.launch(server)
      return new World(options, nats, new ProxyNetwork(nats.port))
    }
    NamespaceNetwork.prepare()
    const nats = await NatsProcess.launch({ ...server, host: NamespaceNetwork.hub })
    return new World(options, nats, new NamespaceNetwork(nats.port))
  }

  get natsAddress(): string {
    return `nats://${this.nats.address}`
  }

  get storage(): string {
    return join(this.options.folder, 'storage')
  }

  localOf(name: string): string {
    return join(this.options.folder, 'local', name)
  }

  up(): Managed[] {
    return this.workers.filter(({ state }) => state === 'up')
  }

  called(name: string): Managed | undefined {
    return this.workers.find(worker => worker.name === name)
  }

  /** A worker that has not been there before, running. */
  async add(): Promise<Managed> {
    const name = `w${this.workers.length + 1}`
    const place = await this.network.place(name)
    const managed: Managed = { name, place, child: undefined, state: 'down', lives: 0 }
    this.workers.push(managed)
    this.begin(managed)
    return managed
  }

  begin(managed: Managed): void {
    if (this.closed) return
    const { name, place } = managed
    const { cairn, job, folder, lostAfter } = this.options
    managed.lives++
    const flags = {
      '--nats': `nats://${place.nats}`,
      '--storage': this.storage,
      '--name': name,
      '--local': this.localOf(name),
      '--listen': place.listen,
      '--advertise': place.advertise,
      '--lost-after': lostAfter,
      ...this.options.flags
    }
    const child = new WorkerChild({
      name,
      args: [...cairn, 'worker', 'start', job, ...Object.entries(flags).flat()],
      within: place.within,
      folder,
      log: join(folder, 'logs', `${name}-${String(managed.lives).padStart(3, '0')}.log`)
    })
    child.onSaid = line => this.onSaid?.(name, line)
    managed.child = child
    managed.state = 'up'
    void child.exited.then(code => this.ended(managed, child, code))
  }

  /** SIGKILL; it is down when this resolves. */
  async kill(managed: Managed): Promise<void> {
    managed.state = 'down'
    managed.child?.signal('SIGKILL')
    await managed.child?.exited
  }

  /** SIGTERM, until it has gone; a worker that does not is killed, and that is told. */
  async leave(managed: Managed, limitMs: number): Promise<void> {
    managed.state = 'leaving'
    managed.child?.signal('SIGTERM')
    await this.gone(managed, limitMs)
  }

  /** Until it has gone, or is killed after so long. */
  async gone(managed: Managed, limitMs: number): Promise<void> {
    const { child } = managed
    if (child === undefined) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>(resolve => (timer = setTimeout(() => resolve('late'), limitMs)))
    const how = await Promise.race([child.exited, late])
    clearTimeout(timer)
    if (how !== 'late') return
    this.options.say(`${managed.name} was told to go and is still there after ${limitMs} ms: killed`)
    await this.kill(managed)
  }

  wipe({ name }: Managed): void {
    rmSync(this.localOf(name), { recursive: true, force: true })
  }

  async close(): Promise<void> {
    this.closed = true
    for (const managed of this.workers) await this.kill(managed)
    await this.network.close()
    await this.nats.kill()
  }

  private ended(managed: Managed, child: WorkerChild, code: number | string): void {
    if (managed.child !== child || managed.state === 'down' || this.closed) return
    const { state } = managed
    // A process that has only just begun does not know yet what to do about SIGTERM.
    const went = code === 0 || (state === 'leaving' && code === 'SIGTERM')
    managed.state = went ? 'over' : 'down'
    if (went) return
    const why = child.text.trim().split('\n').slice(-3).join(' ')
    this.unasked.push({ worker: managed.name, code, why })
    this.options.say(`${managed.name} ended by itself while ${state} (${code}): ${why.slice(0, 300)}`)
    setTimeout(() => {
      if (managed.child === child && managed.state === 'down') this.begin(managed)
    }, startAgainMs)
  }
}
