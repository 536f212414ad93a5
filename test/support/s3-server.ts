/** A real S3-compatible server on loopback, for one test. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parseS3, type Environment, type S3Options } from '../../checkpoint/adapters/s3/s3-options.ts'
import { S3Root } from '../../checkpoint/adapters/s3/s3-root.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { freePort } from './nats-server.ts'
import { service } from './services.ts'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class S3Server {
  static readonly bucket = 'checkpoints'
  /** What a client finds in its environment. */
  readonly environment: Environment = { AWS_ACCESS_KEY_ID: 'tester', AWS_SECRET_ACCESS_KEY: 'a-secret-of-the-test' }
  readonly port: number
  private readonly folder: string
  private child: ChildProcess | undefined

  private constructor(port: number, folder: string) {
    this.port = port
    this.folder = folder
  }

  /** Started with one empty bucket, and stopped with the test. */
  static async start(t: Test): Promise<S3Server> {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-s3-'))
    const server = new S3Server(await freePort(), folder)
    t.teardown(async () => {
      await server.kill()
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    })
    await mkdir(join(folder, 'data', S3Server.bucket), { recursive: true })
    await server.restart()
    return server
  }

  /** `--storage` of the command line. */
  storage(prefix: string, port = this.port): string {
    return `s3://${S3Server.bucket}/${prefix}?endpoint=http://127.0.0.1:${port}`
  }

  options(prefix: string, port = this.port): S3Options {
    return { ...parseS3(this.storage(prefix, port), this.environment), firstRetryMs: 10 }
  }

  open(prefix: string, port = this.port): Promise<S3Root> {
    return S3Root.open(this.options(prefix, port), nodeClock)
  }

  /** Many objects at once, behind the server's back. */
  async fill(path: string, names: readonly string[]): Promise<void> {
    const folder = join(this.folder, 'data', S3Server.bucket, path)
    await mkdir(folder, { recursive: true })
    for (const name of names) await writeFile(join(folder, name), name)
  }

  /** Starts it again on the same port, with its data; ends it first if it runs. */
  async restart(): Promise<void> {
    await this.kill()
    const [access, secret] = [this.environment['AWS_ACCESS_KEY_ID'], this.environment['AWS_SECRET_ACCESS_KEY']]
    const address = `127.0.0.1:${this.port}`
    const args = ['--port', address, '--access', `${access}`, '--secret', `${secret}`, '--quiet', '--health', '/health']
    const child = spawn(
      service('versitygw'),
      // With metadata in extended attributes: in a folder beside it (--sidecar) they are another writer's when two come at once.
      [...args, 'posix', join(this.folder, 'data')],
      { stdio: ['ignore', 'ignore', 'pipe'], cwd: this.folder }
    )
    this.child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    while (!(await isUp(address))) {
      if (!running.has(child)) throw new Error(`versitygw ended with code ${child.exitCode}:\n${said}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  /** SIGKILL; its data stay. Nothing happens when it does not run. */
  async kill(): Promise<void> {
    const { child } = this
    this.child = undefined
    if (child === undefined || !running.has(child)) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
}

const isUp = (address: string): Promise<boolean> =>
  fetch(`http://${address}/health`).then(
    ({ ok }) => ok,
    () => false
  )
