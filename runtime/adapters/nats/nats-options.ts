/** What a job needs of NATS: where it is, who one is there, and the names under which the job lives. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import type { Authenticator, ConnectionOptions } from '@nats-io/transport-node'
import { CodedError } from '../../kernel/errors.ts'

export type NatsCredentials =
  /** A `.creds` file, read again at each connection. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'user'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

/** PEM. All of it is optional: an empty object demands TLS and trusts what the system trusts. */
export interface NatsTls {
  readonly ca?: string
  /** Both or none: this worker's own certificate. */
  readonly certificate?: string
  readonly key?: string
}

export interface NatsOptions {
  /** `host:port`, `nats://host:port` or `tls://host:port`; one of them suffices, the rest are found when the first is away. */
  readonly servers: readonly string[]
  readonly job: string
  /** Tokens of letters and digits, joined by dots; default `cairn`. Jobs of one name on one NATS need different ones. */
  readonly prefix?: string
  readonly credentials?: NatsCredentials
  readonly tls?: NatsTls
  /** Of a lease that is not written: the time to live of the job's bucket. */
  readonly leaseTtlMs: number
  /** Copies of the bucket in a NATS cluster, 1 to 5; default 1. */
  readonly replicas?: number
  /** Shown to operators of NATS. */
  readonly name?: string
  /** Until a lease request without an answer rejects; default 2,000. Longer ones make a new leader wait. */
  readonly requestTimeoutMs?: number
  /** Until `connectNats` rejects; default 10,000. */
  readonly connectTimeoutMs?: number
  /** Between pings; two without an answer and the server counts as away; default 3,000. */
  readonly pingMs?: number
  /** Between attempts to come back; default 500. */
  readonly reconnectMs?: number
  /** Told of what went wrong and what was lost, for a log. Each sentence once until the connection changes. */
  readonly troubled?: (error: CodedError) => void
}

export interface ResolvedNatsOptions extends Required<Omit<NatsOptions, 'credentials' | 'tls'>> {
  readonly credentials: NatsCredentials | undefined
  readonly tls: NatsTls | undefined
}

/** Throws OPTION_INVALID, naming all that is wrong at once. */
export function resolveNatsOptions(options: NatsOptions): ResolvedNatsOptions {
  const wrong: string[] = []
  const resolved: ResolvedNatsOptions = {
    prefix: 'cairn',
    name: `cairn ${options.job}`,
    replicas: 1,
    requestTimeoutMs: 2_000,
    connectTimeoutMs: 10_000,
    pingMs: 3_000,
    reconnectMs: 500,
    troubled: () => undefined,
    credentials: undefined,
    tls: undefined,
    ...options
  }
  if (resolved.servers.length === 0) wrong.push('no server is named')
  for (const server of resolved.servers)
    if (!/^((nats|tls):\/\/)?(\[[0-9a-fA-F:]+\]|[^\s/:@[\]]+)(:\d{1,5})?$/.test(server))
      wrong.push(`server "${server}" is not of the form host:port, nats://host:port or tls://host:port`)
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(resolved.job)) wrong.push(`job "${resolved.job}" is no name of a job`)
  if (!/^[A-Za-z0-9]+(\.[A-Za-z0-9]+)*$/.test(resolved.prefix))
    wrong.push(`prefix "${resolved.prefix}" is not made of letters and digits, joined by dots`)
  for (const name of ['leaseTtlMs', 'requestTimeoutMs', 'connectTimeoutMs', 'pingMs', 'reconnectMs'] as const)
    if (!(Number.isFinite(resolved[name]) && resolved[name] >= 10)) wrong.push(`${name} is ${resolved[name]}`)
  if (![1, 2, 3, 4, 5].includes(resolved.replicas)) wrong.push(`replicas is ${resolved.replicas}; 1 to 5 are possible`)
  if ((resolved.tls?.certificate === undefined) !== (resolved.tls?.key === undefined))
    wrong.push('a certificate needs its key, and a key its certificate')
  if (wrong.length > 0) throw new CodedError('OPTION_INVALID', `NATS: ${wrong.join('; ')}`)
  return resolved
}

/**
 * The bucket of a job's leases. Prefixes hold no `_`, so no two pairs of prefix and job share one.
 *
 * @param prefix as in `NatsOptions`
 */
export const bucketName = (job: string, prefix = 'cairn'): string => `${prefix.replaceAll('.', '-')}_${job}`

export function connectionOptions(
  options: ResolvedNatsOptions,
  authenticate: (creds: () => Uint8Array) => Authenticator
): ConnectionOptions {
  const { credentials, tls, prefix, job } = options
  return {
    servers: [...options.servers],
    name: options.name,
    // What a job may hear at all is under its own name, answers to its requests included.
    inboxPrefix: `${prefix}.${job}.inbox`,
    timeout: Math.min(options.connectTimeoutMs, 5_000),
    maxReconnectAttempts: -1,
    // Also when the server that came back does not know us yet.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: options.reconnectMs,
    reconnectJitter: options.reconnectMs / 2,
    reconnectJitterTLS: options.reconnectMs / 2,
    pingInterval: options.pingMs,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(credentials?.kind === 'user' && { user: credentials.user, pass: credentials.password }),
    ...(credentials?.kind === 'token' && { token: credentials.token }),
    ...(credentials?.kind === 'file' && { authenticator: authenticate(credentialsReader(credentials.path)) }),
    ...((tls !== undefined || options.servers.some(server => server.startsWith('tls://'))) && {
      tls: {
        ...identity(options.servers),
        ...(tls?.ca !== undefined && { ca: tls.ca }),
        ...(tls?.certificate !== undefined && { cert: tls.certificate }),
        ...(tls?.key !== undefined && { key: tls.key })
      }
    })
  }
}

/**
 * The client tells Node no name of a server that is an IP address, and Node compares the certificate with "localhost" then. What it must be
 * of is one of the servers that were named.
 */
function identity(servers: readonly string[]): object {
  const addresses = servers
    .map(server => /^(?:\w+:\/\/)?(?:\[(.+)\]|([^:]+))/.exec(server))
    .map(match => match?.[1] ?? match?.[2] ?? '')
    .filter(host => isIP(host) !== 0)
  const check = (name: string, certificate: PeerCertificate): Error | undefined => {
    const wrong = checkServerIdentity(name, certificate)
    if (wrong === undefined || name !== 'localhost') return wrong
    return addresses.some(address => checkServerIdentity(address, certificate) === undefined) ? undefined : wrong
  }
  // An option of Node's that the client hands on, though its types do not say so.
  return { checkServerIdentity: check }
}

/** A file that is being replaced, or gone, must not end a connection that may come back: the last good content stands in. */
function credentialsReader(path: string): () => Uint8Array {
  const read = (): Uint8Array => readFileSync(path)
  let known: Uint8Array
  try {
    known = read()
  } catch (error) {
    throw new CodedError('OPTION_INVALID', `NATS: credentials file "${path}" cannot be read`, { cause: error })
  }
  if (!holdsCredentials(known))
    throw new CodedError('OPTION_INVALID', `NATS: credentials file "${path}" holds no JWT and seed of a NATS user`)
  return () => {
    try {
      const now = read()
      if (holdsCredentials(now)) known = now
    } catch {
      // As said above.
    }
    return known
  }
}

const holdsCredentials = (bytes: Uint8Array): boolean =>
  /BEGIN NATS USER JWT[^]*BEGIN USER NKEY SEED/.test(new TextDecoder().decode(bytes))
