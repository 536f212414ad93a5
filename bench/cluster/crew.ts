/** The workers of one measurement, a NATS of their own, and an eye on what they put out. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { connectCluster, type ClusterConnection } from '../../deploy/cluster/connection.ts'
import { listen, type Look } from '../../deploy/cluster/look.ts'
import { usualTiming } from '../../deploy/cluster/timing.ts'
import { root, service } from '../../simulations/chaos/installed.ts'
import { NatsProcess } from '../../simulations/chaos/nats-process.ts'
import { freePort } from '../../simulations/chaos/ports.ts'
import { WorkerChild } from '../../simulations/chaos/worker-child.ts'
import { Timeline } from './timeline.ts'

export interface CrewOptions {
  readonly workers: number
  readonly events: number
  readonly keys: number
  readonly interval: string
  /** Events a second once every key is there; absent: as many as can be. */
  readonly rate?: string
  readonly store?: 'memory' | 'level' | 'rocksdb'
  /** Accounts by class; absent: all in turns. */
  readonly accounts?: readonly (readonly number[])[]
}

/** Writes how much CPU a process took since it was told that all run, in ms, when it ends by itself. */
const accountant = `import { writeFileSync } from 'node:fs'
let before
process.on('SIGUSR2', () => (before = process.cpuUsage()))
process.on('exit', () => {
  const { user, system } = process.cpuUsage(before)
  writeFileSync(\`cpu-\${process.pid}\`, String((user + system) / 1000))
})
`
/** Looking costs CPU that the workers need. */
const lookMs = 10
const settledEpochs = 6

export class Crew {
  readonly folder = mkdtempSync(join(tmpdir(), 'cairn-bench-'))
  readonly workers = new Map<string, WorkerChild>()
  private nats: NatsProcess | undefined
  private cluster: ClusterConnection | undefined
  private look: Look | undefined
  private readonly env: Readonly<Record<string, string>>
  private lives = 0
  private greatest = -1

  private constructor({ events, keys, interval, rate = '', store = 'memory', accounts }: CrewOptions) {
    const classes = join(this.folder, 'accounts.json')
    if (accounts !== undefined) writeFileSync(classes, JSON.stringify(accounts))
    this.env = {
      EVENTS: String(events),
      KEYS: String(keys),
      INTERVAL: interval,
      STORE: store,
      RATE: rate,
      ACCOUNTS: accounts === undefined ? '' : classes,
      NODE_OPTIONS: `--import ${pathToFileURL(join(this.folder, 'cpu.mjs')).href}`
    }
  }

  /** All of them run when it resolves. */
  static async start(options: CrewOptions): Promise<Crew> {
    const crew = new Crew(options)
    copyFileSync(join(root, 'bench', 'cluster', 'job.ts'), join(crew.folder, 'job.ts'))
    writeFileSync(join(crew.folder, 'cpu.mjs'), accountant)
    const folder = join(crew.folder, 'nats')
    crew.nats = new NatsProcess(await freePort(), { program: service('nats-server'), folder })
    await crew.nats.begin()
    const names = Array.from({ length: options.workers }, (_, i) => `w${i + 1}`)
    for (const name of names) crew.begin(name)
    await Promise.all([...crew.workers.values()].map(worker => worker.runs()))
    for (const worker of crew.workers.values()) worker.signal('SIGUSR2')
    const place = { storage: crew.storage, nats: [crew.nats.address] }
    crew.cluster = await connectCluster('figures', place, usualTiming.leaseMs, false)
    crew.look = listen('figures', crew.cluster.bus)
    await crew.look.until(() => (crew.generation > 0 ? true : undefined), Infinity)
    return crew
  }

  begin(name: string): WorkerChild {
    const flags = ['--name', name, '--local', join(this.folder, 'local', name)]
    const worker = new WorkerChild({
      name,
      folder: this.folder,
      log: join(this.folder, `${name}-${++this.lives}.log`),
      args: [join(root, 'deploy', 'bin', 'cairn.cjs'), 'worker', 'start', 'job.ts', ...this.place, ...flags],
      env: this.env
    })
    this.workers.set(name, worker)
    return worker
  }

  /** What a worker has on its disk is gone. */
  wipe(name: string): void {
    rmSync(join(this.folder, 'local', name), { recursive: true, force: true })
  }

  /** Every worker has ended by itself. */
  async finished(): Promise<void> {
    for (const worker of this.workers.values())
      if ((await worker.exited) !== 0) throw new Error(`worker ${worker.name} failed: ${worker.text}`)
  }

  async cairn(...args: string[]): Promise<void> {
    const all = [join(root, 'deploy', 'bin', 'cairn.cjs'), ...args, ...this.place]
    await promisify(execFile)(process.execPath, all, { cwd: this.folder })
  }

  /** Files that were put out. */
  get published(): number {
    return this.outputs.length
  }

  /** The greatest number that was put out, if it is asked for more often than once in a few checkpoints. */
  get newest(): number {
    const from = this.newestEpoch - 4
    const last = this.outputs.filter(name => epochOf(name) >= from)
    const texts = last.map(name => readFileSync(join(this.folder, 'out', name), 'utf8'))
    const numbers = texts.flatMap(text => [...text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)))
    return (this.greatest = Math.max(this.greatest, ...numbers))
  }

  private get newestEpoch(): number {
    return Math.max(0, ...this.outputs.map(epochOf))
  }

  private get outputs(): string[] {
    try {
      return readdirSync(join(this.folder, 'out')).filter(name => name.endsWith('.ndjson'))
    } catch {
      return []
    }
  }

  get generation(): number {
    return this.look?.seen.directive?.generation ?? 0
  }

  get leader(): string | undefined {
    const leader = this.look?.seen.directive?.leader
    return leader?.slice(0, leader.lastIndexOf('#'))
  }

  /** From now on. */
  timeline(): Timeline {
    return new Timeline(() => this.look?.seen)
  }

  /** Resolves when a few checkpoints more were put out: what was late before is done. */
  async settled(): Promise<void> {
    const until = this.newestEpoch + settledEpochs
    while (this.newestEpoch < until) await sleep(100)
  }

  /** Resolves once a generation later than `generation` has put something out. */
  async outputAfter(generation: number): Promise<void> {
    await this.decidedAfter(generation)
    const first = this.look?.seen.directive?.decided?.epoch ?? 0
    while (this.newestEpoch < first) await sleep(lookMs)
  }

  /** Resolves once a checkpoint of a generation later than `generation` is decided: its output follows at once. */
  async decidedAfter(generation: number): Promise<void> {
    for (;;) {
      const directive = this.look?.seen.directive
      if (directive !== undefined && directive.generation > generation && directive.decided !== null) return
      await sleep(lookMs)
    }
  }

  /** Time without new output, the longest while `work` goes on, in ms. */
  async longestGap(work: () => Promise<void>): Promise<number> {
    let [known, since, longest, over] = [this.published, performance.now(), 0, false]
    const working = work().finally(() => (over = true))
    while (!over) {
      const now = performance.now()
      longest = Math.max(longest, now - since)
      const published = this.published
      if (published > known) [known, since] = [published, now]
      await sleep(lookMs)
    }
    await working
    return longest
  }

  /** Of all workers that have ended by themselves, since all ran, in ms. */
  get cpuMs(): number {
    const names = readdirSync(this.folder).filter(name => name.startsWith('cpu-'))
    return names.reduce((sum, name) => sum + Number(readFileSync(join(this.folder, name), 'utf8')), 0)
  }

  async close(): Promise<void> {
    this.look?.close()
    await this.cluster?.bus.close()
    for (const worker of this.workers.values()) {
      worker.signal('SIGKILL')
      await worker.exited
    }
    await this.nats?.kill()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  get storage(): string {
    return join(this.folder, 'storage')
  }
  private get place(): string[] {
    return ['--nats', this.nats?.address ?? '', '--storage', this.storage]
  }
}

/** As the sink names its files: lineage, sink, stage, slot, epoch, chunk. */
const epochOf = (file: string): number => Number(/\.(\d{12})-\d{6}/.exec(file)?.[1])

export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
