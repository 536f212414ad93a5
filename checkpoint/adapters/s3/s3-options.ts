/** `s3://bucket/prefix?endpoint=…&region=…&style=…`, and what the environment adds. */
import { CodedError } from '../../../runtime/kernel/errors.ts'

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
}

export interface S3Options {
  readonly bucket: string
  /** Before every name: '' or `some/folder/`. */
  readonly prefix: string
  /** Of the bucket, without a slash at its end. */
  readonly url: string
  readonly region: string
  readonly credentials: S3Credentials
  /** As people know it: neither secrets nor options. */
  readonly shown: string
  /** Of one object or page; default 10,000, and a second more for each MiB. Shorter ones give up slow servers. */
  readonly timeoutMs: number
  /** Default 5. More of them make whoever waits for a decision wait longer before it is told of the trouble. */
  readonly attempts: number
  /** Before the second attempt; it doubles. Default 100. */
  readonly firstRetryMs: number
}

export type Environment = Readonly<Record<string, string | undefined>>

export const isS3 = (storage: string): boolean => storage.startsWith('s3://')

const known = ['endpoint', 'region', 'style']
const bucketName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Of a prefix: what needs no escaping in an address, so that every server spells it the same. */
const prefixPart = /^(?!\.\.?$)[A-Za-z0-9._-]+$/

/** Throws OPTION_INVALID, naming all that is wrong at once. */
export function parseS3(text: string, environment: Environment): S3Options {
  const wrong: string[] = []
  const [place = '', query = ''] = text.slice('s3://'.length).split(/\?(.*)/s)
  const [bucket = '', ...path] = place.split('/')
  const parts = path.at(-1) === '' ? path.slice(0, -1) : path
  if (!bucketName.test(bucket)) wrong.push(`"${bucket}" is no name of a bucket`)
  for (const part of parts)
    if (!prefixPart.test(part)) wrong.push(`"${part}" cannot be a part of the prefix: letters, digits, . _ - can`)
  const options = new URLSearchParams(query)
  for (const name of new Set(options.keys()))
    if (!known.includes(name)) wrong.push(`option "${name}" is unknown; there are ${known.join(', ')}`)
    else if (options.getAll(name).length > 1) wrong.push(`option "${name}" is given twice`)
  const from = (option: string, ...variables: string[]): string | undefined => {
    const values = [options.get(option) ?? undefined, ...variables.map(name => environment[name])]
    return values.find(value => value !== undefined && value !== '')
  }
  const region = from('region', 'AWS_REGION', 'AWS_DEFAULT_REGION') ?? 'us-east-1'
  if (!/^[A-Za-z0-9-]+$/.test(region)) wrong.push(`"${region}" is no name of a region`)
  const endpoint = from('endpoint', 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL')
  const style = from('style') ?? (endpoint === undefined ? 'host' : 'path')
  if (style !== 'host' && style !== 'path') wrong.push(`style "${style}" is neither host nor path`)
  const base = baseOf(endpoint ?? `https://s3.${region}.amazonaws.com`)
  if (base === undefined) wrong.push(`endpoint "${endpoint}" is not of the form http(s)://host[:port]`)
  const credentials = credentialsOf(environment)
  if (typeof credentials === 'string') wrong.push(credentials)
  if (wrong.length > 0 || base === undefined || typeof credentials === 'string')
    throw new CodedError('OPTION_INVALID', `storage "s3://${place}": ${wrong.join('; ')}`)
  return {
    bucket,
    prefix: parts.map(part => `${part}/`).join(''),
    url: style === 'path' ? `${base.origin}/${bucket}` : `${base.protocol}//${bucket}.${base.host}`,
    region,
    credentials,
    shown: `s3://${[bucket, ...parts].join('/')}`,
    timeoutMs: 10_000,
    attempts: 5,
    firstRetryMs: 100
  }
}

function baseOf(endpoint: string): URL | undefined {
  try {
    const url = new URL(endpoint)
    const bare = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
    return bare && (url.protocol === 'http:' || url.protocol === 'https:') ? url : undefined
  } catch {
    return undefined
  }
}

/** Secrets come from the environment alone: a command line is seen by everybody on the machine. */
function credentialsOf(environment: Environment): S3Credentials | string {
  const accessKeyId = environment['AWS_ACCESS_KEY_ID'] ?? ''
  const secretAccessKey = environment['AWS_SECRET_ACCESS_KEY'] ?? ''
  const missing = [
    ...(accessKeyId === '' ? ['AWS_ACCESS_KEY_ID'] : []),
    ...(secretAccessKey === '' ? ['AWS_SECRET_ACCESS_KEY'] : [])
  ]
  if (missing.length > 0) return `the environment does not set ${missing.join(' and ')}`
  return { accessKeyId, secretAccessKey, sessionToken: environment['AWS_SESSION_TOKEN'] || undefined }
}
