/**
 * Runs one operation of the real decision log against given answers. An operation that waits for its next answer cannot be
 * cloned, so it is run again from its beginning with one answer more; between operations the log is plain data.
 */
import { DecisionLog, type Appended, type Decision } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { freeze, thaw } from './frozen.ts'
import type { Reply, StorageRequest } from './world.ts'

export type LogData = Record<string, unknown>
export type LogOperation =
  { readonly kind: 'open' } | { readonly kind: 'append'; readonly decision: Decision } | { readonly kind: 'prune' }

/** `null` is the answer to a request whose client gave up. */
export type Answer = Reply | null

export type LogOutcome =
  | { readonly kind: 'asks'; readonly nonces: number; readonly request: StorageRequest }
  | { readonly kind: 'done'; readonly log: LogData; readonly nonces: number; readonly appended: Appended | undefined }
  | { readonly kind: 'failed'; readonly log: LogData; readonly nonces: number; readonly error: unknown }

const ports = ['storage', 'nonce', 'limits']
/** More turns than any step of the log takes between two requests. */
const turns = 40

export interface LogSettings {
  readonly worker: string
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
  let asked: StorageRequest | undefined
  let given = 0
  const ask = async (request: StorageRequest): Promise<Reply> => {
    const answer = answers[given]
    if (answer === undefined) {
      asked = request
      return new Promise(() => {})
    }
    given++
    if (answer === null) throw new CodedError('STORAGE_FAILED', 'no answer in time')
    return answer
  }
  const nonce = (): string => `${settings.worker}${nonces++}`
  const limits = { attempts: 1, readBack: 1, kept: settings.kept === 0 ? 1000 : settings.kept }
  const log = data === undefined ? undefined : thaw(DecisionLog, data, { storage: storageOver(ask), nonce, limits })
  let outcome: LogOutcome | undefined
  const done = (after: DecisionLog, appended?: Appended): void => {
    outcome = { kind: 'done', log: freeze(after, ports), nonces, appended }
  }
  const start = async (): Promise<void> => {
    if (operation.kind === 'open') return done(await DecisionLog.open(storageOver(ask), nonce, limits))
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
  return outcome ?? { kind: 'asks', nonces, request: asked as StorageRequest }
}

function storageOver(ask: (request: StorageRequest) => Promise<Reply>): CheckpointStorage {
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
