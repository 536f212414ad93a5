/** What every process of a cluster, and whoever looks at one, must know to find it: NATS, storage, the job's key. */
import { randomBytes } from 'node:crypto'
import { jobKey } from '../../checkpoint/job-key.ts'
import { firstLineage, type Lineages } from '../../checkpoint/lineages.ts'
import { connectNats, type NatsBus } from '../../runtime/adapters/nats/nats-bus.ts'
import type { NatsCredentials, NatsOptions, NatsTls } from '../../runtime/adapters/nats/nats-options.ts'
import { SignedBus } from '../../runtime/adapters/signed-bus.ts'
import type { CodedError } from '../../runtime/kernel/errors.ts'
import type { ControlBus } from '../../runtime/ports/control-bus.ts'
import type { ConnectionValues } from '../settings/tables.ts'
import { openStorage } from '../storage-place.ts'

function credentialsOf({
  natsCreds,
  natsUser,
  natsPassword,
  natsToken
}: ConnectionValues): NatsCredentials | undefined {
  if (natsCreds !== undefined) return { kind: 'file', path: natsCreds }
  if (natsUser !== undefined) return { kind: 'user', user: natsUser, password: natsPassword ?? '' }
  if (natsToken !== undefined) return { kind: 'token', token: natsToken }
  return undefined
}

function tlsOf({ natsCa: ca, natsCert: certificate, natsKey: key }: ConnectionValues): NatsTls | undefined {
  if (ca === undefined && certificate === undefined && key === undefined) return undefined
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key })
  }
}

export function natsOptions(
  job: string,
  settings: ConnectionValues,
  leaseTtlMs: number,
  troubled?: (error: CodedError) => void
): NatsOptions {
  const credentials = credentialsOf(settings)
  const tls = tlsOf(settings)
  return {
    servers: settings.nats,
    job,
    leaseTtlMs,
    ...(settings.natsPrefix === undefined ? {} : { prefix: settings.natsPrefix }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(tls === undefined ? {} : { tls }),
    ...(troubled === undefined ? {} : { troubled })
  }
}

export interface ClusterConnection {
  readonly lineages: Lineages
  /** The job's key. */
  readonly key: Uint8Array
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
  settings: ConnectionValues,
  leaseTtlMs: number,
  joins: boolean,
  troubled?: (error: CodedError) => void
): Promise<ClusterConnection> {
  const place = await openStorage(settings.storage)
  const lineages = place.lineages(job)
  const options = natsOptions(job, settings, leaseTtlMs, troubled)
  if (joins) await place.verify(job)
  const key = await jobKey(lineages.storage(firstLineage), joins ? count => randomBytes(count) : undefined)
  const nats = await connectNats(options)
  return { lineages, key, nats, bus: new SignedBus(nats, key) }
}
