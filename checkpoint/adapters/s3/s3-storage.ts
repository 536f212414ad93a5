/**
 * Checkpoint storage on an S3-compatible server: one object per name, created with `If-None-Match: *`.
 *
 *   PUT ─ 200 ────────────────────────────────► created
 *     ├── 412 ── GET: whose token and bytes? ──► created (an earlier attempt of this call) or exists
 *     ├── 409, 429 ── nothing was done ────────► again
 *     ├── 5xx, no answer ── it may be done ────► again; what was done answers 412 then
 *     └── all else, or too often ──────────────► rejects: the caller looks again and deletes nothing
 *
 * Invariants
 * 1. Every call of `create` sends a token of its own with the object, so two callers are never both told "created", also when their bytes are
 *    equal and answers were lost.
 * 2. An object goes in one request, so it is there whole or not at all: at most 5 GiB, the most that S3 takes so.
 */
import { randomUUID } from 'node:crypto'
import { equalBytes } from '../../../runtime/kernel/bytes.ts'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import { wholeRange, type CheckpointStorage } from '../../storage.ts'
import { parseListing } from './listing.ts'
import { isAbsent, reasonOf, stands, type S3Answer, type S3Client, type S3Request } from './s3-client.ts'

/** Read back to learn who made an object. */
export const tokenHeader = 'x-amz-meta-cairn-create'
const largestBytes = 5 * 1024 ** 3

const isDone = ({ status }: S3Answer): boolean => status >= 200 && status < 300

export class S3Storage implements CheckpointStorage {
  private readonly client: S3Client
  private readonly folder: string

  /** @param folder within the prefix: `orders/lineages/1` */
  constructor(client: S3Client, folder: string) {
    this.client = client
    this.folder = folder
  }

  async create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const token = randomUUID()
    const request: S3Request = {
      method: 'PUT',
      name: this.path(name),
      headers: { 'if-none-match': '*', [tokenHeader]: token },
      body: bytes
    }
    if (bytes.length > largestBytes)
      throw this.client.failure(request, `${bytes.length} bytes are more than one request takes`)
    let reason = ''
    for (let attempt = 1; attempt <= this.client.options.attempts; attempt++) {
      if (attempt > 1) await this.client.pause(attempt)
      const answer = await this.client.attempt(request)
      if (!stands(answer)) {
        reason = reasonOf(answer)
        continue
      }
      if (isDone(answer)) return 'created'
      if (answer.status !== 412) throw this.client.refusal(request, answer)
      // Asked always, since whoever stands between may repeat a request, too.
      return (await this.isMade(name, token, bytes)) ? 'created' : 'exists'
    }
    throw this.client.failure(request, reason)
  }

  /** By whoever sent that token. The bytes are compared, too: some servers keep metadata apart, where a writer that was refused has changed them. */
  private async isMade(name: string, token: string, bytes: Uint8Array): Promise<boolean> {
    const request: S3Request = { method: 'GET', name: this.path(name) }
    const answer = await this.client.request(request)
    if (isAbsent(answer)) return false
    if (!isDone(answer)) throw this.client.refusal(request, answer)
    return answer.header(tokenHeader) === token && equalBytes(answer.body, bytes)
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const request: S3Request = { method: 'GET', name: this.path(name) }
    const answer = await this.client.request(request)
    if (isAbsent(answer)) return undefined
    if (!isDone(answer)) throw this.client.refusal(request, answer)
    return answer.body
  }

  async readRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    const request: S3Request = {
      method: 'GET',
      name: this.path(name),
      headers: { range: `bytes=${offset}-${offset + length - 1}` }
    }
    if (length === 0) return new Uint8Array()
    const answer = await this.client.request(request)
    const behindEnd = answer.status === 416
    if (!behindEnd && !isDone(answer)) throw this.client.refusal(request, answer)
    const bytes = behindEnd
      ? new Uint8Array()
      : answer.status === 206
        ? answer.body
        : answer.body.subarray(offset, offset + length)
    return wholeRange(bytes, name, offset, length)
  }

  async list(folder: string): Promise<readonly string[]> {
    return (await listFolder(this.client, `${this.path(folder)}/`)).names
  }

  async remove(name: string): Promise<void> {
    const request: S3Request = { method: 'DELETE', name: this.path(name) }
    const answer = await this.client.request(request)
    if (!isDone(answer) && !isAbsent(answer)) throw this.client.refusal(request, answer)
  }

  private path(name: string): string {
    if (name.split('/').some(part => part === '' || part === '.' || part === '..'))
      throw new CodedError('CORRUPT', `"${name}" is not the name of a stored object`)
    return `${this.folder}/${name}`
  }
}

/** Last parts of the names of objects and of folders directly in a folder, sorted. `folder` ends in a slash, or is ''. */
export async function listFolder(
  client: S3Client,
  folder: string
): Promise<{ readonly names: readonly string[]; readonly folders: readonly string[] }> {
  const start = `${client.options.prefix}${folder}`
  const names: string[] = []
  const folders: string[] = []
  for (let next: string | undefined, first = true; first || next !== undefined; first = false) {
    const request: S3Request = {
      method: 'GET',
      name: '',
      query: {
        'list-type': '2',
        delimiter: '/',
        prefix: start,
        ...(next === undefined ? {} : { 'continuation-token': next })
      }
    }
    const answer = await client.request(request)
    if (!isDone(answer)) throw client.refusal(request, answer)
    const page = parseListing(new TextDecoder().decode(answer.body))
    if (page === undefined || page.next === (next ?? ''))
      throw client.failure(request, 'the answer is no listing of objects')
    for (const key of page.keys) if (key.length > start.length) names.push(key.slice(start.length))
    for (const prefix of page.prefixes) folders.push(prefix.slice(start.length, -1))
    next = page.next
  }
  return { names: names.sort(), folders: folders.sort() }
}
