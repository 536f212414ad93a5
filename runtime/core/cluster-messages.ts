/**
 * What leader and workers tell each other over the control bus: mainly two kinds of message, each a whole state with a number that grows. A lost
 * one is made good by the next, a repeated or late one is recognised by its number; nothing waits for an answer.
 */
import type { LoopStep } from '../../checkpoint/loop-ends.ts'
import type { WorkerReport } from './checkpoint-leader.ts'

/** From a worker to whoever leads. */
export interface Report {
  /** One incarnation of one process. */
  readonly worker: string
  /** What stays the same when the process is started again. */
  readonly name: string
  readonly sequence: number
  /** Where other workers connect to. */
  readonly address: string
  /** Workers with another plan wait as candidates. */
  readonly plan: string
  /** It wants to go once others have taken over what it runs. */
  readonly leaving: boolean
  /** 0 = none yet. */
  readonly generation: number
  readonly state: 'idle' | 'starting' | 'running' | 'failed'
  /** Why it failed. */
  readonly error?: string
  /** It failed because its connection to this worker is gone. */
  readonly lost?: string
  /** Peers of a running generation of which nothing came for `silentAfterMs`. */
  readonly silent?: readonly string[]
  /** Of a running generation. */
  readonly report?: WorkerReport
}

/** From the leader to all workers. */
export interface Directive {
  readonly leader: string
  /** Number of the decision by which it leads: a greater one wins. */
  readonly term: number
  readonly sequence: number
  readonly phase: 'waiting' | 'running' | 'finished' | 'drained'
  /** The generation that runs or is about to; 0 = none. The decision log says what it is. */
  readonly generation: number
  /** Tasks of a stage in each worker. */
  readonly perWorker: number
  /** Where the workers of the generation can be reached. */
  readonly addresses: Readonly<Record<string, string>>
  /** The newest epoch triggered in the generation; `last`: sources read nothing any more. */
  readonly trigger: { readonly epoch: number; readonly last: boolean } | null
  /** Epochs up to this one that were not decided never will be. */
  readonly abandoned: number
  /** The newest epoch decided in the generation, with the hash of its manifest and what that says of loops. */
  readonly decided: { readonly epoch: number; readonly hash: string; readonly loops: readonly LoopStep[] } | null
}

/** From a person, repeated until the reports show that it was obeyed. It names what it was meant for, so that an old one does nothing. */
export type Command =
  /** Give away what it runs, then end. */
  | { readonly kind: 'leave'; readonly worker: string }
  /** End the job behind a last checkpoint. Of the leader of that term. */
  | { readonly kind: 'drain'; readonly term: number }
  /** So many tasks of each stage in a worker. Of the leader of that term. */
  | { readonly kind: 'rescale'; readonly term: number; readonly tasks: number }

/** From a worker's heartbeat thread to whoever leads: its event loop is busy, not hung. */
export interface Pulse {
  readonly kind: 'pulse'
  readonly worker: string
}

export const subjects = {
  reports: 'reports',
  directives: 'directives',
  commands: 'commands',
  pulses: 'pulses'
} as const

export function encodeMessage(message: Report | Directive | Command | Pulse): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message))
}

/** Undefined for whatever is no report. */
export function decodeReport(bytes: Uint8Array): Report | undefined {
  const message = parse(bytes) as Partial<Report> | undefined
  return typeof message?.worker === 'string' && isNumber(message.sequence) && isNumber(message.generation)
    ? (message as Report)
    : undefined
}

/** Undefined for whatever is no directive. */
export function decodeDirective(bytes: Uint8Array): Directive | undefined {
  const message = parse(bytes) as Partial<Directive> | undefined
  return isNumber(message?.term) && isNumber(message.sequence) && isNumber(message.generation)
    ? (message as Directive)
    : undefined
}

/** Undefined for whatever is no command. */
export function decodeCommand(bytes: Uint8Array): Command | undefined {
  const message = parse(bytes) as Partial<{ kind: string; worker: string; term: number; tasks: number }> | undefined
  if (message?.kind === 'leave' && typeof message.worker === 'string') return message as Command
  if (message?.kind === 'drain' && isNumber(message.term)) return message as Command
  if (message?.kind === 'rescale' && isNumber(message.term) && isNumber(message.tasks) && message.tasks > 0)
    return message as Command
  return undefined
}

/** Undefined for whatever is no pulse. */
export function decodePulse(bytes: Uint8Array): Pulse | undefined {
  const message = parse(bytes) as Partial<Pulse> | undefined
  return message?.kind === 'pulse' && typeof message.worker === 'string' ? (message as Pulse) : undefined
}

function parse(bytes: Uint8Array): unknown {
  try {
    const message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
    return typeof message === 'object' && message !== null ? message : undefined
  } catch {
    return undefined
  }
}

const isNumber = (value: unknown): value is number => Number.isSafeInteger(value)
