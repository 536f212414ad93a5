/**
 * The processes of a chaos run: nats-server, workers, and the proxies between them. Every worker reaches NATS through a proxy of its own,
 * and is reached by the others through one.
 *
 *   worker ──→ its NATS proxy ──→ nats-server ←── whoever watches (no proxy)
 *   worker ──→ proxy of the other ──→ the other          of a pair, the one whose name comes first connects
 *
 * A worker that ends by itself with an error is started again, as a supervisor would, and that is told.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CuttingProxy, type Cut } from './cutting-proxy.ts'
import { NatsProcess } from './nats-process.ts'
import { freePort } from './ports.ts'
import { WorkerChild, type Said } from './worker-child.ts'

export interface WorldOptions {
  readonly folder: string
  /** The command line: arguments of node before those of the command. */
  readonly cairn: readonly string[]
  readonly natsProgram: string
  /** Below `folder`. */
  readonly job: string
  readonly lostAfter: string
  /** Further flags of each worker. */
  readonly flags?: Readonly<Record<string, string>>
  readonly say: (text: string) => void
}

/** `over`: it has ended with exit code 0. */
export type WorkerState = 'up' | 'down' | 'paused' | 'leaving' | 'over'

export interface Managed {
  readonly name: string
  readonly proxy: CuttingProxy
  readonly natsProxy: CuttingProxy
  readonly port: number
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
  readonly workers: Managed[] = []
  /** Ends that nobody asked for. */
  readonly unasked: Unasked[] = []
  /** Told of each line of each worker. */
  onSaid: ((worker: string, line: Said) => void) | undefined
  private readonly options: WorldOptions
  private closed = false

  private constructor(options: WorldOptions, nats: NatsProcess) {
    this.options = options
    this.nats = nats
  }

  static async start(options: WorldOptions): Promise<World> {
    mkdirSync(join(options.folder, 'logs'), { recursive: true })
    const folder = join(options.folder, 'nats')
    return new World(options, await NatsProcess.launch({ program: options.natsProgram, folder }))
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
    const port = await freePort()
    const proxy = await CuttingProxy.start({ target: () => port, caller: undefined })
    const natsProxy = await CuttingProxy.start({ target: () => this.nats.port, caller: name })
    const managed: Managed = { name, proxy, natsProxy, port, child: undefined, state: 'down', lives: 0 }
    this.workers.push(managed)
    this.begin(managed)
    return managed
  }

  begin(managed: Managed): void {
    if (this.closed) return
    const { name, port, proxy, natsProxy } = managed
    const { cairn, job, folder, lostAfter } = this.options
    managed.lives++
    const flags = {
      '--nats': `nats://127.0.0.1:${natsProxy.port}`,
      '--storage': this.storage,
      '--name': name,
      '--local': this.localOf(name),
      '--listen': `127.0.0.1:${port}`,
      '--advertise': `127.0.0.1:${proxy.port}`,
      '--lost-after': lostAfter,
      ...this.options.flags
    }
    const child = new WorkerChild({
      name,
      args: [...cairn, 'worker', 'start', job, ...Object.entries(flags).flat()],
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

  /** Between two workers, whoever of them connects. */
  cut(a: Managed, b: Managed, how: Cut): () => void {
    const [caller, target] = a.name < b.name ? [a, b] : [b, a]
    target.proxy.cut(caller.name, how)
    return () => target.proxy.heal(caller.name)
  }

  /** Every connection passes again. */
  heal(): void {
    for (const { proxy, natsProxy } of this.workers) {
      proxy.healAll()
      natsProxy.healAll()
    }
  }

  async close(): Promise<void> {
    this.closed = true
    for (const managed of this.workers) {
      await this.kill(managed)
      await managed.proxy.close()
      await managed.natsProxy.close()
    }
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
