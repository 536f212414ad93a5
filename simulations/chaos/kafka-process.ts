/** Real Kafka brokers on loopback, each broker and controller in one, as child processes. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { root } from './installed.ts'
import { freePort } from './ports.ts'
import { standStill } from './stand-still.ts'

export interface KafkaListener {
  readonly name: string
  readonly protocol: 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL' | 'PLAINTEXT'
}

export interface KafkaOptions {
  /** Folder of the jars. */
  readonly program: string
  /** For configuration and data; made when missing. */
  readonly folder: string
  /** Default 1. */
  readonly brokers?: number
  /** Beside a plain one, on a port of their own. */
  readonly listeners?: readonly KafkaListener[]
  /** Beats what is configured here. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>
  /** Users made before the first start: `SCRAM-SHA-256=[name=…,password=…]`. */
  readonly scram?: readonly string[]
}

interface Place {
  readonly id: number
  readonly port: number
  readonly controllerPort: number
  readonly listeners: readonly (KafkaListener & { readonly port: number })[]
}

interface Setup {
  readonly kafkaStarted: string
  kafkaCommand(
    folder: string,
    mainClass: string,
    args: readonly string[],
    options?: { readonly heapMb?: number }
  ): readonly [program: string, args: readonly string[]]
  brokerProperties(options: {
    readonly id: number
    readonly folder: string
    readonly brokers: readonly Place[]
    readonly extra: Readonly<Record<string, string | number | boolean>>
  }): string
  formatArguments(file: string, scram?: readonly string[]): readonly string[]
}

const setup = (await import(pathToFileURL(join(root, 'deploy/setup/kafka.mjs')).href)) as Setup

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface ToolOptions {
  /** File for what it says on standard error, also when it succeeds. */
  readonly log?: string
  readonly input?: string | AsyncIterable<string>
  readonly timeoutMs?: number
}

/** Runs one of Kafka's own tools to its end; resolves with what it printed, rejects when it fails. */
export async function kafkaTool(
  program: string,
  mainClass: string,
  args: readonly string[],
  { input = '', timeoutMs = 60_000, log }: ToolOptions = {}
): Promise<string> {
  const child = spawn(...commandOf(program, mainClass, args), { stdio: 'pipe' })
  running.add(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const told: Buffer[] = []
  const complained: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => told.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => {
    complained.push(chunk)
    if (log !== undefined) appendFileSync(log, chunk)
  })
  // A tool that ends before it has read everything.
  child.stdin?.on('error', () => undefined)
  if (typeof input === 'string') child.stdin?.end(input)
  else if (child.stdin !== null) Readable.from(input).pipe(child.stdin)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(timer)
  running.delete(child)
  const out = Buffer.concat(told).toString()
  if (code === 0) return out
  throw new Error(
    `${mainClass} ${args.join(' ')} ended with ${code ?? 'a signal'}:\n${out}${Buffer.concat(complained)}`
  )
}

function commandOf(program: string, mainClass: string, args: readonly string[]): [string, readonly string[]] {
  return [...setup.kafkaCommand(program, mainClass, args)]
}

class KafkaBroker {
  readonly place: Place
  private readonly program: string
  private readonly folder: string
  private child: ChildProcess | undefined

  constructor(place: Place, program: string, folder: string) {
    this.place = place
    this.program = program
    this.folder = folder
  }

  /** What it has said in all its lives. */
  private get log(): string {
    return join(this.folder, 'log')
  }

  private get file(): string {
    return join(this.folder, 'server.properties')
  }

  async prepare(brokers: readonly Place[], { properties = {}, scram = [] }: KafkaOptions): Promise<void> {
    await mkdir(this.folder, { recursive: true })
    const { id } = this.place
    await writeFile(this.file, setup.brokerProperties({ id, folder: this.folder, brokers, extra: properties }))
    await kafkaTool(this.program, 'kafka.tools.StorageTool', setup.formatArguments(this.file, scram))
  }

  /** Resolves when it serves. */
  async start(): Promise<void> {
    const child = spawn(...commandOf(this.program, 'kafka.Kafka', [this.file]), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    let log = ''
    await new Promise<void>((resolve, reject) => {
      const look = (chunk: Buffer): void => {
        appendFileSync(this.log, chunk)
        // Only the start and the newest of it is of interest, and a broker in trouble says a lot.
        log = `${log.slice(-20_000)}${chunk.toString()}`
        if (log.includes(setup.kafkaStarted)) resolve()
      }
      child.stdout?.on('data', look)
      child.stderr?.on('data', look)
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`the Kafka broker ended with code ${code}:\n${log}`)))
    })
  }

  /** SIGTERM hands leadership over and writes everything down; SIGKILL does not. Nothing happens when it does not run. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { child } = this
    this.child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    // A broker without its quorum cannot end by itself.
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await exit
    clearTimeout(timer)
  }

  async pause(): Promise<void> {
    if (this.child?.pid !== undefined) await standStill(this.child.pid)
  }

  resume(): void {
    this.child?.kill('SIGCONT')
  }
}

/** One broker, or three with every topic on each. */
export class KafkaProcess {
  private readonly brokers: readonly KafkaBroker[]
  private readonly options: KafkaOptions

  private constructor(brokers: readonly KafkaBroker[], options: KafkaOptions) {
    this.brokers = brokers
    this.options = options
  }

  static async launch(options: KafkaOptions): Promise<KafkaProcess> {
    const places: Place[] = []
    for (let id = 1; id <= (options.brokers ?? 1); id++) {
      const listeners = []
      for (const listener of options.listeners ?? []) listeners.push({ ...listener, port: await freePort() })
      places.push({ id, port: await freePort(), controllerPort: await freePort(), listeners })
    }
    const { program, folder } = options
    const brokers = places.map(place => new KafkaBroker(place, program, join(folder, `broker-${place.id}`)))
    await Promise.all(brokers.map(broker => broker.prepare(places, options)))
    const cluster = new KafkaProcess(brokers, options)
    await cluster.start()
    return cluster
  }

  /** `host:port` of each broker's plain listener, or of the one named. */
  addresses(listener?: string): string[] {
    return this.brokers.map(({ place }) => {
      const port = listener === undefined ? place.port : place.listeners.find(({ name }) => name === listener)?.port
      if (port === undefined) throw new Error(`no listener is named "${listener}"`)
      return `127.0.0.1:${port}`
    })
  }

  /** Those that do not run. On the same ports, with their data. */
  async start(): Promise<void> {
    await Promise.all(this.brokers.map(broker => broker.start()))
  }

  async startBroker(id: number): Promise<void> {
    await this.broker(id).start()
  }

  stopBroker(id: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    return this.broker(id).stop(signal)
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    await Promise.all(this.brokers.map(broker => broker.stop(signal)))
  }

  async restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.stop(signal)
    await this.start()
  }

  /** It answers nothing any more, and keeps its connections. */
  pause(id: number): Promise<void> {
    return this.broker(id).pause()
  }

  resume(id: number): void {
    this.broker(id).resume()
  }

  private broker(id: number): KafkaBroker {
    const found = this.brokers.find(({ place }) => place.id === id)
    if (found === undefined) throw new Error(`there is no broker ${id}`)
    return found
  }

  /** One of Kafka's own tools, which is told where the brokers are by `--bootstrap-server`. */
  tool(mainClass: string, args: readonly string[], options: ToolOptions = {}): Promise<string> {
    const all = ['--bootstrap-server', this.addresses().join(','), ...args]
    return kafkaTool(this.options.program, mainClass, all, options)
  }
}
