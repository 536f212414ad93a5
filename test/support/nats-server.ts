/** A real nats-server with JetStream on loopback, for one test. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { service } from './services.ts'

export interface NatsServerOptions {
  /** Added to the configuration file: users, permissions, TLS. */
  readonly configuration?: string
  /** Default true. */
  readonly jetStream?: boolean
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Below the ports that the system gives to outgoing connections: a client that tries to reconnect to one of those may at last
 * connect to itself, and then the server cannot come back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const probe = createServer()
    const free = await new Promise<boolean>(resolve => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}

export class NatsServer {
  readonly port: number
  private readonly folder: string
  private child: ChildProcess | undefined
  private log = ''

  private constructor(port: number, folder: string) {
    this.port = port
    this.folder = folder
  }

  /** Started, and stopped with the test. */
  static async start(t: Test, options: NatsServerOptions = {}): Promise<NatsServer> {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-nats-'))
    const server = new NatsServer(await freePort(), folder)
    t.teardown(async () => {
      await server.kill()
      await rm(folder, { recursive: true, force: true })
    })
    const lines = [`listen: "127.0.0.1:${server.port}"`, options.configuration ?? '']
    if (options.jetStream !== false) lines.push(`jetstream { store_dir: "${join(folder, 'data')}" }`)
    await writeFile(join(folder, 'nats.conf'), `${lines.join('\n')}\n`)
    await server.restart()
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  /** Starts it again on the same port, with its data; ends it first if it runs. */
  async restart(): Promise<void> {
    await this.kill()
    this.log = ''
    const child = spawn(service('nats-server'), ['-c', join(this.folder, 'nats.conf')], {
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
    await rm(join(this.folder, 'data'), { recursive: true, force: true })
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
  pause(): void {
    this.child?.kill('SIGSTOP')
  }

  resume(): void {
    this.child?.kill('SIGCONT')
  }
}
