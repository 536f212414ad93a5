/** NATS's client is an optional package: it is loaded when a job first needs it. */
import type * as Jetstream from '@nats-io/jetstream'
import type * as Kv from '@nats-io/kv'
import type * as Transport from '@nats-io/transport-node'
import { CodedError } from '../../kernel/errors.ts'

export interface NatsPackages {
  readonly transport: typeof Transport
  readonly jetstream: typeof Jetstream
  readonly kv: typeof Kv
}

const packages = ['@nats-io/transport-node', '@nats-io/jetstream', '@nats-io/kv'] as const

/** Rejects with PACKAGE_MISSING. */
export async function loadNats(load: (name: string) => Promise<unknown> = name => import(name)): Promise<NatsPackages> {
  const loaded: unknown[] = []
  for (const name of packages)
    try {
      loaded.push(await load(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
      throw new CodedError('PACKAGE_MISSING', `a cluster needs NATS, and package "${name}" is not installed`, {
        cause: error,
        remedy: `npm install ${packages.map(each => `${each}@3`).join(' ')}`
      })
    }
  const [transport, jetstream, kv] = loaded
  return { transport, jetstream, kv } as NatsPackages
}
