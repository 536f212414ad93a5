/**
 * What a running job is asked over its local socket: one JSON object per line, one answer per request, in order.
 *
 *   → {"v":1,"id":7,"kind":"state","stage":"Airport","key":"SFO"}
 *   ← {"v":1,"id":7,"ok":true,"result":…}   or   {"v":1,"id":7,"ok":false,"error":{"code","message","remedy"}}
 */
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { Manifest } from '../checkpoint/manifest.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { errorCodes, type ErrorCode } from '../runtime/kernel/error-codes.ts'
import type { Letters } from './dead-letters.ts'
import type { QuarantineAnswer } from '../runtime/core/quarantine.ts'
import type { RedriveProgress, Redriven } from './redrive.ts'
import type { ParkedShown, QuarantineLines } from './quarantine.ts'
import type { JobStatus } from './running-job.ts'
import type { CheckpointLine, SavepointLine, Verified } from './stored-job.ts'
import type { ReadAnswer, TopicLine } from './topic-desk.ts'

export const controlVersion = 1
/** A longer request would let one client hold the job's memory. */
export const requestLimitBytes = 4 * 1024 * 1024

/** More letters in one answer would hold the job's memory, and its events while the answer is built. */
export const letterLimit = 10_000
/** Records in one request or answer; more would hold the job's memory, and its events meanwhile. */
export const pageLimit = 1000
/** Characters of the id of an operator's command; ids are kept in the state of the job. */
export const commandIdLimit = 200
/** A client that went away is noticed when its answer is written. */
const waitLimitMs = 10_000

export const savepointName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}$/, "a savepoint's name must match [A-Za-z][A-Za-z0-9_-]{0,62}")
const count = z.number().int().nonnegative()
const part = z.union([z.string(), z.int()])
const key = z.union([part, z.array(part)])

const requests = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('status') }),
  z.strictObject({ kind: z.literal('state'), stage: z.string(), key }),
  z.strictObject({ kind: z.literal('checkpoint-create') }),
  z.strictObject({ kind: z.literal('checkpoint-list') }),
  z.strictObject({ kind: z.literal('checkpoint-inspect'), epoch: count.optional() }),
  z.strictObject({ kind: z.literal('checkpoint-verify'), epoch: count.optional() }),
  z.strictObject({
    kind: z.literal('dead-letters'),
    id: z.string().optional(),
    stage: z.string().optional(),
    limit: count.max(letterLimit)
  }),
  z.strictObject({
    kind: z.literal('redrive'),
    event: z.string().optional(),
    stage: z.string().optional(),
    error: z.string().optional(),
    since: z.number().optional(),
    until: z.number().optional(),
    limit: count.max(letterLimit),
    dryRun: z.boolean()
  }),
  z.strictObject({ kind: z.literal('redrive-progress') }),
  z.strictObject({ kind: z.literal('quarantine-list'), stage: z.string().optional(), limit: count.max(letterLimit) }),
  z.strictObject({ kind: z.literal('quarantine-show'), stage: z.string(), key, limit: count.max(letterLimit) }),
  z.strictObject({
    kind: z.literal('quarantine-do'),
    command: z.string().min(1).max(commandIdLimit),
    action: z.enum(['retry', 'edit', 'drop', 'drop-all']),
    stage: z.string(),
    key,
    value: z.unknown().optional()
  }),
  z.strictObject({ kind: z.literal('savepoint-create'), name: savepointName }),
  z.strictObject({ kind: z.literal('savepoint-list') }),
  z.strictObject({ kind: z.literal('topics') }),
  z.strictObject({
    kind: z.literal('log-append'),
    topic: z.string(),
    partition: count.optional(),
    partitions: count.optional(),
    unchecked: z.boolean().optional(),
    records: z.array(z.strictObject({ key: z.string().optional(), value: z.string() })).max(pageLimit)
  }),
  z.strictObject({
    kind: z.literal('log-read'),
    topic: z.string(),
    partition: count.optional(),
    positions: z.array(count).optional(),
    last: count.optional(),
    limit: count.max(pageLimit),
    waitMs: count.max(waitLimitMs)
  }),
  z.strictObject({ kind: z.literal('drain') }),
  z.strictObject({ kind: z.literal('stop') })
])

export type ControlRequest = z.infer<typeof requests>
/** What each request is answered with. */
export interface ControlResults {
  readonly status: JobStatus
  readonly state: StateAnswer
  readonly 'checkpoint-create': { readonly epoch: number }
  readonly 'checkpoint-list': readonly CheckpointLine[]
  readonly 'checkpoint-inspect': Manifest
  readonly 'checkpoint-verify': Verified
  readonly 'dead-letters': Letters
  readonly redrive: Redriven
  readonly 'redrive-progress': RedriveProgress | null
  readonly 'quarantine-list': QuarantineLines
  readonly 'quarantine-show': ParkedShown | null
  readonly 'quarantine-do': QuarantineAnswer
  readonly 'savepoint-create': { readonly name: string; readonly epoch: number }
  readonly 'savepoint-list': readonly SavepointLine[]
  readonly topics: readonly TopicLine[]
  readonly 'log-append': { readonly appended: number; readonly created: boolean }
  readonly 'log-read': ReadAnswer
  readonly drain: null
  readonly stop: null
}
export interface StateAnswer {
  /** As `plainValue` writes them; null = nothing under this key. */
  readonly fields: Readonly<Record<string, unknown>> | null
  /** The checkpoint it was read from; null = from the running job. */
  readonly epoch: number | null
}
export type ControlAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string; readonly remedy: string } }

/** Where the job in `folder` listens. */
export function controlPath(folder: string): string {
  const path = join(folder, 'control.sock')
  // The longest path a local socket may have.
  return Buffer.byteLength(path) < 104
    ? path
    : join(tmpdir(), `cairn-control-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}.sock`)
}

/** Throws USAGE with what is wrong; `id` is 0 where the line has none. */
export function parseRequest(line: string): { readonly id: number; readonly request: ControlRequest } {
  const { v, id, ...rest } = envelope(line)
  if (v !== controlVersion)
    throw new CodedError('USAGE', `control protocol version ${String(v)}; this job speaks ${controlVersion}`)
  const parsed = requests.safeParse(rest)
  if (parsed.success) return { id, request: parsed.data }
  const known = requests.options.map(option => option.shape.kind.value)
  const kind = (rest as { readonly kind?: unknown }).kind
  throw new CodedError(
    'USAGE',
    (known as unknown[]).includes(kind)
      ? `request "${String(kind)}": ${z.prettifyError(parsed.error)}`
      : `unknown request ${JSON.stringify(kind) ?? 'without a kind'}; known are ${known.join(', ')}`
  )
}

function envelope(line: string): { readonly v: unknown; readonly id: number } {
  try {
    return z.looseObject({ v: z.unknown(), id: count }).parse(JSON.parse(line)) as { v: unknown; id: number }
  } catch {
    throw new CodedError('USAGE', 'a request is one line that holds a JSON object with "v" and "id"')
  }
}

export function requestIdOf(line: string): number {
  try {
    return envelope(line).id
  } catch {
    return 0
  }
}

export function answerOf(error: unknown): ControlAnswer {
  const coded = error instanceof CodedError ? error : new CodedError('INTERNAL', String(error))
  return { ok: false, error: { code: coded.code, message: coded.message, remedy: coded.remedy } }
}

/** Throws what the job answered where it could not do it. */
export function resultOf(answer: ControlAnswer): unknown {
  if (answer.ok) return answer.result
  const { code, message, remedy } = answer.error
  throw new CodedError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'INTERNAL', message, { remedy })
}
