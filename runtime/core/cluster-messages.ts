/**
 * What leader and workers tell each other over the control bus: mainly two kinds of message, each a whole state with a number that grows. A lost
 * one is made good by the next, a repeated or late one is recognised by its number; nothing waits for an answer.
 */
import type { LoopStep } from '../../checkpoint/loop-ends.ts'
import type { WorkerReport } from './checkpoint-leader.ts'
import type { QuarantineCommand } from './quarantine.ts'

/** From a worker to whoever leads. */
export interface Report {
  /** In which it works. */
  readonly lineage: number
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
  /** In which it leads. */
  readonly lineage: number
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
  /** A checkpoint that is kept, unless there is one of that name. Of the leader of that term. */
  | { readonly kind: 'savepoint'; readonly term: number; readonly name: string }
  /** Something is to be done about a key in quarantine, by whoever has it. Key and value are base64 of their stored form. */
  | {
      readonly kind: 'operate'
      readonly id: string
      readonly stage: string
      readonly key: string
      readonly action: QuarantineCommand['action']
      readonly value: string
    }
  /** That worker has given the lead away and ends: whoever hears of it need not wait until the lease expires. */
  | { readonly kind: 'elect'; readonly worker: string }

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
  const message = parse(bytes)
  return reportShape(message) ? (message as Report) : undefined
}

/** Undefined for whatever is no directive. */
export function decodeDirective(bytes: Uint8Array): Directive | undefined {
  const message = parse(bytes)
  return directiveShape(message) ? (message as Directive) : undefined
}

/** Undefined for whatever is no command. */
export function decodeCommand(bytes: Uint8Array): Command | undefined {
  const message = parse(bytes)
  return commandShapes.some(shape => shape(message)) ? (message as Command) : undefined
}

/** Undefined for whatever is no pulse. */
export function decodePulse(bytes: Uint8Array): Pulse | undefined {
  const message = parse(bytes)
  return pulseShape(message) ? (message as Pulse) : undefined
}

function parse(bytes: Uint8Array): unknown {
  try {
    const message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
    return typeof message === 'object' && message !== null ? message : undefined
  } catch {
    return undefined
  }
}

// ---- shapes: what is signed may still come from another version

type Shape = (value: unknown) => boolean

const isText: Shape = value => typeof value === 'string'
const isFlag: Shape = value => typeof value === 'boolean'
const isCount: Shape = value => Number.isSafeInteger(value) && Number(value) >= 0
const isAtLeastOne: Shape = value => isCount(value) && value !== 0
const oneOf =
  (...values: readonly unknown[]): Shape =>
  value =>
    values.includes(value)
const either =
  (a: Shape, b: Shape): Shape =>
  value =>
    a(value) || b(value)
const listOf =
  (item: Shape): Shape =>
  value =>
    Array.isArray(value) && value.every(item)
const tableOf =
  (item: Shape): Shape =>
  value =>
    typeof value === 'object' && value !== null && Object.values(value).every(item)
/** Other fields are let through. */
const fields =
  (shapes: Readonly<Record<string, Shape>>, optional: Readonly<Record<string, Shape>> = {}): Shape =>
  value => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    const given = value as Readonly<Record<string, unknown>>
    return (
      Object.entries(shapes).every(([name, shape]) => shape(given[name])) &&
      Object.entries(optional).every(([name, shape]) => given[name] === undefined || shape(given[name]))
    )
  }
const isNull = oneOf(null)

const workerReportShape = fields(
  {
    changed: isFlag,
    finished: isFlag,
    resting: isFlag,
    standing: isFlag,
    parkedKeys: isCount,
    recovered: isFlag,
    settled: isFlag,
    decided: isCount,
    unpublished: Number.isFinite,
    pendingBytes: Number.isFinite
  },
  {
    acknowledged: fields(
      {
        epoch: isCount,
        tasks: listOf(fields({ stage: isText, task: isCount })),
        ledgers: listOf(fields({ sink: isText, stage: isText, slot: isCount }))
      },
      { workMs: Number.isFinite }
    ),
    declined: fields({ epoch: isCount, message: isText })
  }
)
const reportShape = fields(
  {
    lineage: isAtLeastOne,
    worker: isText,
    name: isText,
    sequence: isCount,
    address: isText,
    plan: isText,
    leaving: isFlag,
    generation: isCount,
    state: oneOf('idle', 'starting', 'running', 'failed')
  },
  { error: isText, lost: isText, silent: listOf(isText), report: workerReportShape }
)
const directiveShape = fields({
  lineage: isAtLeastOne,
  leader: isText,
  term: isCount,
  sequence: isCount,
  phase: oneOf('waiting', 'running', 'finished', 'drained'),
  generation: isCount,
  perWorker: isCount,
  addresses: tableOf(isText),
  trigger: either(isNull, fields({ epoch: isCount, last: isFlag })),
  abandoned: isCount,
  decided: either(
    isNull,
    fields({
      epoch: isCount,
      hash: isText,
      loops: listOf(fields({ stages: listOf(isText), step: oneOf('timers', 'close') }))
    })
  )
})
const commandShapes = [
  fields({ kind: oneOf('leave'), worker: isText }),
  fields({ kind: oneOf('elect'), worker: isText }),
  fields({ kind: oneOf('drain'), term: isCount }),
  fields({ kind: oneOf('rescale'), term: isCount, tasks: isAtLeastOne }),
  fields({ kind: oneOf('savepoint'), term: isCount, name: isText }),
  fields({
    kind: oneOf('operate'),
    id: isText,
    stage: isText,
    key: isText,
    action: oneOf('retry', 'edit', 'drop', 'drop-all'),
    value: isText
  })
]
const pulseShape = fields({ kind: oneOf('pulse'), worker: isText })
