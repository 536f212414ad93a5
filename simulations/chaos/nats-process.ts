/** A real nats-server with JetStream, as a child process. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { standStill } from './stand-still.ts'

export interface NatsProcessOptions {
  /** The program. */
  readonly program: string
  /** For its configuration and its data; made when missing. */
  readonly folder: string
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Added to the configuration file: users, permissions, TLS. */
  readonly configuration?: string
  /** Default true. */
  readonly jetStream?: boolean
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class NatsProcess {
  readonly port: number
  private readonly options: NatsProcessOptions
  private child: ChildProcess | undefined
  private log = ''

  constructor(port: number, options: NatsProcessOptions) {
    this.port = port
    this.options = options
  }

  static async launch(options: NatsProcessOptions): Promise<NatsProcess> {
    const server = new NatsProcess(await freePort(), options)
    await server.begin()
    return server
  }

  get address(): string {
    return `${this.options.host ?? '127.0.0.1'}:${this.port}`
  }

  async begin(): Promise<void> {
    const { folder, configuration, jetStream } = this.options
    await mkdir(folder, { recursive: true })
    const lines = [`listen: "${this.address}"`, configuration ?? '']
    if (jetStream !== false) lines.push(`jetstream { store_dir: "${join(folder, 'data')}" }`)
    await writeFile(join(folder, 'nats.conf'), `${lines.join('\n')}\n`)
    await this.restart()
  }

  /** Starts it again on the same port, with its data; ends it first if it runs. */
  async restart(): Promise<void> {
    await this.kill()
    this.log = ''
    const child = spawn(this.options.program, ['-c', join(this.options.folder, 'nats.conf')], {
      stdio: ['ignore', 'ignore', 'pipe']
    })
    this.child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    await new Promise<void>((resolve, reject) => {
      const look = (chunk: Buffer): void => {
        this.log += chunk.toString()
        if (this.log.includes('Server is ready')) resolve()
      }
      child.stderr?.on('data', look)
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`nats-server ended with code ${code}:\n${this.log}`)))
    })
  }

  /** The same, but it has forgotten everything. */
  async restartEmpty(): Promise<void> {
    await this.kill()
    await rm(join(this.options.folder, 'data'), { recursive: true, force: true })
    await this.restart()
  }

  /** SIGKILL; its data stay. Nothing happens when it does not run. */
  async kill(): Promise<void> {
    const { child } = this
    this.child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    // A paused process is ended by it, too.
    child.kill('SIGKILL')
    await exit
  }

  /** Kills it; no answer comes after the call. Returns what starts it again. */
  outage(): () => void {
    const gone = this.kill()
    return () => void gone.then(() => this.restart())
  }

  /** It answers nothing any more, and keeps its connections. */
  async pause(): Promise<void> {
    if (this.child?.pid !== undefined) await standStill(this.child.pid)
  }

  resume(): void {
    this.child?.kill('SIGCONT')
  }
}
