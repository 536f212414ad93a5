/**
 * Runs one operation of the real decision log, or a whole real fork, against given answers. An operation that waits for its next
 * answer cannot be cloned, so it is run again from its beginning with one answer more; between operations the log is plain data.
 */
import { DecisionLog, type Appended, type Decision } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { followTo, forkTo } from './forking.ts'
import { freeze, thaw } from './frozen.ts'
import type { Reply, Request, StorageRequest } from './world.ts'

export type LogData = Record<string, unknown>
export type LogOperation =
  | { readonly kind: 'open' }
  | { readonly kind: 'append'; readonly decision: Decision }
  | { readonly kind: 'prune' }
  /** Opens the log of the newest lineage. */
  | { readonly kind: 'follow' }
  /** Goes back to a checkpoint and opens the log of the lineage that stands there. */
  | { readonly kind: 'fork'; readonly restore: string }

/** `null` is the answer to a request whose client gave up. */
export type Answer = Reply | null

export type LogOutcome =
  | { readonly kind: 'asks'; readonly nonces: number; readonly request: Request }
  | {
      readonly kind: 'done'
      readonly log: LogData
      readonly lineage: number
      readonly nonces: number
      readonly appended: Appended | undefined
    }
  | { readonly kind: 'failed'; readonly log: LogData; readonly nonces: number; readonly error: unknown }

const ports = ['storage', 'nonce', 'limits']
/** More turns than any step of the log takes between two requests. */
const turns = 200

export interface LogSettings {
  readonly worker: string
  readonly lineage: number
  readonly nonces: number
  /** 0 = never pruned. */
  readonly kept: number
}

export async function runOperation(
  data: LogData | undefined,
  operation: LogOperation,
  answers: readonly Answer[],
  settings: LogSettings
): Promise<LogOutcome> {
  let nonces = settings.nonces
  let asked: Request | undefined
  let given = 0
  let opened = settings.lineage
  const ask = (request: Request): Promise<Answer> => {
    const answer = answers[given]
    if (answer === undefined) {
      asked = request
      return new Promise(() => {})
    }
    given++
    return Promise.resolve(answer)
  }
  const { lineage } = settings
  const askStorage: Ask = async request => {
    const answer = await ask(lineage === 1 ? request : { ...request, lineage })
    if (answer === null) throw new CodedError('STORAGE_FAILED', 'no answer in time')
    return answer
  }
  const nonce = (): string => `${settings.worker}${nonces++}`
  const limits = { attempts: 1, readBack: 1, checkpoints: 1, kept: settings.kept === 0 ? 1000 : settings.kept }
  const log =
    data === undefined ? undefined : thaw(DecisionLog, data, { storage: storageOver(askStorage), nonce, limits })
  let outcome: LogOutcome | undefined
  const done = (after: DecisionLog, appended?: Appended): void => {
    outcome = { kind: 'done', log: freeze(after, ports), lineage: opened, nonces, appended }
  }
  const start = async (): Promise<void> => {
    if (operation.kind === 'open') return done(await DecisionLog.open(storageOver(askStorage), nonce, limits))
    if (operation.kind === 'follow' || operation.kind === 'fork') {
      const newest = await (operation.kind === 'follow' ? followTo(ask, nonce) : forkTo(ask, nonce, operation.restore))
      opened = newest.lineage
      return done(newest.log)
    }
    if (log === undefined) throw new Error('the log is not open')
    if (operation.kind === 'append') return done(log, await log.append(operation.decision))
    await log.prune()
    done(log)
  }
  start().catch((error: unknown) => {
    outcome = { kind: 'failed', log: log === undefined ? {} : freeze(log, ports), nonces, error }
  })
  for (let turn = 0; outcome === undefined && asked === undefined; turn++) {
    if (turn === turns * (1 + answers.length)) throw new Error('the log neither asks nor ends')
    await Promise.resolve()
  }
  return outcome ?? { kind: 'asks', nonces, request: asked as Request }
}

type Ask = (request: StorageRequest) => Promise<Reply>

function storageOver(ask: Ask): CheckpointStorage {
  return {
    create: async (name, bytes) =>
      (await ask({ op: 'create', name, text: new TextDecoder().decode(bytes) })) as 'created' | 'exists',
    read: async name => {
      const { text } = (await ask({ op: 'read', name })) as { readonly text?: string }
      return text === undefined ? undefined : new TextEncoder().encode(text)
    },
    list: async folder => (await ask({ op: 'list', folder })) as readonly string[],
    remove: async name => void (await ask({ op: 'remove', names: [name] })),
    readRange: () => Promise.reject(new Error(`nothing but ${objectNames.decisions} is read here`))
  }
}
