/** What every process of a cluster, and whoever looks at one, must know to find it: NATS, storage, the job's key. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Option, type Command } from 'commander'
import { jobKey } from '../../checkpoint/job-key.ts'
import { firstLineage, type Lineages } from '../../checkpoint/lineages.ts'
import { connectNats, type NatsBus } from '../../runtime/adapters/nats/nats-bus.ts'
import type { NatsCredentials, NatsOptions, NatsTls } from '../../runtime/adapters/nats/nats-options.ts'
import { SignedBus } from '../../runtime/adapters/signed-bus.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { ControlBus } from '../../runtime/ports/control-bus.ts'
import { withStorage } from '../job-reference.ts'
import { openStorage } from '../storage-place.ts'

export interface ConnectionFlags {
  readonly storage: string
  readonly nats: readonly string[]
  readonly natsCreds?: string
  readonly natsUser?: string
  readonly natsPassword?: string
  readonly natsToken?: string
  readonly natsCa?: string
  readonly natsCert?: string
  readonly natsKey?: string
  readonly natsPrefix?: string
}

export function withConnection(command: Command): Command {
  const servers = new Option('--nats <servers...>', 'NATS servers, like nats://localhost:4222')
    .env('CAIRN_NATS')
    .default(['nats://127.0.0.1:4222'])
    .argParser<readonly string[]>((text, before) => [
      ...(Array.isArray(before) && before[0] !== 'nats://127.0.0.1:4222' ? (before as string[]) : []),
      ...text.split(',')
    ])
  return withStorage(command)
    .addOption(servers)
    .addOption(new Option('--nats-creds <file>', 'credentials file of a NATS user').env('CAIRN_NATS_CREDS'))
    .addOption(new Option('--nats-user <name>', 'NATS user').env('CAIRN_NATS_USER'))
    .addOption(new Option('--nats-password <text>', 'better by environment').env('CAIRN_NATS_PASSWORD'))
    .addOption(new Option('--nats-token <text>', 'better by environment').env('CAIRN_NATS_TOKEN'))
    .addOption(new Option('--nats-ca <file>', 'demand TLS, and trust this authority').env('CAIRN_NATS_CA'))
    .addOption(new Option('--nats-cert <file>', "this process's certificate for NATS").env('CAIRN_NATS_CERT'))
    .addOption(new Option('--nats-key <file>', 'and its key').env('CAIRN_NATS_KEY'))
    .addOption(
      new Option('--nats-prefix <text>', 'jobs of one name on one NATS need different ones')
        .env('CAIRN_NATS_PREFIX')
        .default('cairn')
    )
}

/** Reads a file that an option names. Throws OPTION_INVALID. */
export function fileOf(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new CodedError('OPTION_INVALID', `${option} "${path}" cannot be read: ${code ?? String(cause)}`)
  }
}

function credentialsOf(flags: ConnectionFlags): NatsCredentials | undefined {
  const { natsCreds, natsUser, natsPassword, natsToken } = flags
  const given = [natsCreds, natsUser, natsToken].filter(each => each !== undefined)
  if (given.length > 1)
    throw new CodedError('OPTION_INVALID', 'NATS: choose one of --nats-creds, --nats-user, --nats-token')
  if (natsCreds !== undefined) return { kind: 'file', path: natsCreds }
  if (natsUser !== undefined) return { kind: 'user', user: natsUser, password: natsPassword ?? '' }
  if (natsToken !== undefined) return { kind: 'token', token: natsToken }
  return undefined
}

function tlsOf({ natsCa, natsCert, natsKey }: ConnectionFlags): NatsTls | undefined {
  if (natsCa === undefined && natsCert === undefined && natsKey === undefined) return undefined
  return {
    ...(natsCa === undefined ? {} : { ca: fileOf('--nats-ca', natsCa) }),
    ...(natsCert === undefined ? {} : { certificate: fileOf('--nats-cert', natsCert) }),
    ...(natsKey === undefined ? {} : { key: fileOf('--nats-key', natsKey) })
  }
}

/** Throws OPTION_INVALID. */
export function natsOptions(
  job: string,
  flags: ConnectionFlags,
  leaseTtlMs: number,
  troubled?: (error: CodedError) => void
): NatsOptions {
  const credentials = credentialsOf(flags)
  const tls = tlsOf(flags)
  return {
    servers: flags.nats,
    job,
    leaseTtlMs,
    ...(flags.natsPrefix === undefined ? {} : { prefix: flags.natsPrefix }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(tls === undefined ? {} : { tls }),
    ...(troubled === undefined ? {} : { troubled })
  }
}

export interface ClusterConnection {
  readonly lineages: Lineages
  /** Hears and is heard by those who know the job's key. */
  readonly bus: ControlBus
  readonly nats: NatsBus
}

/**
 * Throws what `connectNats` and storage throw.
 *
 * @param joins whoever only looks makes nothing
 */
export async function connectCluster(
  job: string,
  flags: ConnectionFlags,
  leaseTtlMs: number,
  joins: boolean,
  troubled?: (error: CodedError) => void
): Promise<ClusterConnection> {
  const place = await openStorage(flags.storage)
  const lineages = place.lineages(job)
  const options = natsOptions(job, flags, leaseTtlMs, troubled)
  if (joins) await place.verify(job)
  const key = await jobKey(lineages.storage(firstLineage), joins ? count => randomBytes(count) : undefined)
  const nats = await connectNats(options)
  return { lineages, nats, bus: new SignedBus(nats, key) }
}
