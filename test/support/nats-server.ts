/** A real nats-server with JetStream on loopback, for one test. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { NatsProcess } from '../../simulations/chaos/nats-process.ts'
import { freePort } from '../../simulations/chaos/ports.ts'
import { service } from './services.ts'

export { freePort } from '../../simulations/chaos/ports.ts'

export interface NatsServerOptions {
  /** Added to the configuration file: users, permissions, TLS. */
  readonly configuration?: string
  /** Default true. */
  readonly jetStream?: boolean
}

export class NatsServer extends NatsProcess {
  /** Started, and stopped with the test. */
  static async start(t: Test, options: NatsServerOptions = {}): Promise<NatsServer> {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-nats-'))
    const server = new NatsServer(await freePort(), { program: service('nats-server'), folder, ...options })
    t.teardown(async () => {
      await server.kill()
      await rm(folder, { recursive: true, force: true })
    })
    await server.begin()
    return server
  }
}
