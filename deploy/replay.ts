/**
 * A job run a second time beside itself: a backfill, or a second consumer. State, ledger, consumer group and output are its own, so that
 * nothing of the one that runs already is touched.
 */
import type { SinkSpec, SourceSpec } from '../actors/connectors.ts'
import type { Plan } from '../actors/plan.ts'
import { checkPlan } from '../actors/plan-checks.ts'
import type { Job } from '../actors/stream.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { StartOptions } from './running-job.ts'

/** Where a new job begins to read topics. */
export type Beginning =
  | { readonly kind: 'earliest' | 'latest' }
  /** At the first record of that time or later; ms since 1970. */
  | { readonly kind: 'time'; readonly ms: number }
  /** By topic, the offset of each partition; topics left out begin where the job file says. */
  | { readonly kind: 'offsets'; readonly topics: ReadonlyMap<string, readonly number[]> }
  /** With the state and at the positions that the job itself had there. */
  | { readonly kind: 'savepoint'; readonly name: string }

export interface ReplayOptions {
  /** Name of the job; also the end of the names of its output topics and folders. */
  readonly as?: string
  /** Needs `as`. Looked at when the job begins for the first time; later it goes on from its checkpoint. */
  readonly from?: Beginning
}

/** Reads `earliest`, `latest`, an ISO time, `savepoint:<name>`, or offsets like `orders=120,98;payments=5`. Throws an error whose message says what it must be. */
export function beginningOf(text: string): Beginning {
  if (text === 'earliest' || text === 'latest') return { kind: text }
  if (/^savepoint:./.test(text)) return { kind: 'savepoint', name: text.slice('savepoint:'.length) }
  if (text.includes('=')) return { kind: 'offsets', topics: offsetsOf(text) }
  // Without a zone it would mean another time on another machine.
  const zoned = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const ms = zoned ? Date.parse(text) : NaN
  if (Number.isNaN(ms))
    throw new Error(
      'it must be earliest, latest, a time like 2026-11-20T08:00:00Z, offsets of partitions like orders=120,98;payments=5, or savepoint:<name>'
    )
  return { kind: 'time', ms }
}

function offsetsOf(text: string): Map<string, number[]> {
  const topics = new Map<string, number[]>()
  for (const part of text.split(';')) {
    const [topic = '', list, ...more] = part.split('=').map(each => each.trim())
    const offsets = (list ?? '').split(',').map(each => (/^\d+$/.test(each.trim()) ? Number(each) : NaN))
    if (topic === '' || more.length > 0 || !offsets.every(Number.isSafeInteger))
      throw new Error(`"${part}" must be a topic and the offset of each of its partitions, like orders=120,98`)
    if (topics.has(topic)) throw new Error(`it names topic "${topic}" twice`)
    topics.set(topic, offsets)
  }
  return topics
}

/** What does not fit together. @param set names of what is set */
export function replayProblems(set: ReadonlySet<string>): string[] {
  const problems: string[] = []
  if (set.has('from') && !set.has('as'))
    problems.push('--from needs --as: under its own name the job goes on from its checkpoint')
  if (set.has('as') && set.has('restore')) problems.push('--as begins a job of its own, which has nothing to --restore')
  return problems
}

/** Where the state of a replay comes from, if it begins at a savepoint. */
export const beginAt = (job: Job<unknown>, { as, from }: ReplayOptions): Pick<StartOptions, 'beginAt'> =>
  as !== undefined && from?.kind === 'savepoint' ? { beginAt: { job: job.name, savepoint: from.name } } : {}

/** The job as it is, unless `as` makes it another one. Throws OPTION_INVALID. */
export function replayed(job: Job<unknown>, { as, from }: ReplayOptions): Job<unknown> {
  if (as === undefined) return job
  if (as === job.plan.job)
    throw new CodedError('OPTION_INVALID', `--as ${as}: that is the name of the job itself; choose another one`)
  const nodes = job.plan.nodes.map(node =>
    node.kind === 'source'
      ? { ...node, source: sourceFrom(node.name, node.source, from, job.name) }
      : node.kind === 'sink'
        ? { ...node, sink: apart(node.sink, as) }
        : node
  )
  const plan: Plan = { ...job.plan, job: as, nodes, deadLetters: apart(job.plan.deadLetters, as) }
  if (from !== undefined) refuseUnread(plan, from)
  const problems = checkPlan(plan)
  if (problems.length > 0) throw new CodedError('OPTION_INVALID', `--as ${as}: ${problems.join('; ')}`)
  return { ...job, name: as, plan }
}

function sourceFrom(name: string, source: SourceSpec, from: Beginning | undefined, job: string): SourceSpec {
  if (source.connector === 'log')
    throw new CodedError(
      'OPTION_INVALID',
      `--as: source "${name}" reads topic "${source.topic}" of the embedded log, which belongs to job "${job}" alone`
    )
  if (source.connector !== 'kafka' || from === undefined) return source
  switch (from.kind) {
    case 'earliest':
    case 'latest':
      return { ...source, from: from.kind, begin: undefined }
    case 'savepoint':
      return source
    case 'time':
      return { ...source, from: 'latest', begin: from.ms }
    case 'offsets': {
      const begin = typeof source.topic === 'string' ? from.topics.get(source.topic) : undefined
      return begin === undefined ? source : { ...source, from: 'latest', begin }
    }
  }
}

/** Files and generators begin at their beginning. */
function refuseUnread({ nodes }: Plan, from: Beginning): void {
  const topics = nodes.flatMap(node =>
    node.kind === 'source' && node.source.connector === 'kafka' ? [String(node.source.topic)] : []
  )
  if (from.kind === 'savepoint') return
  if (topics.length === 0 && from.kind !== 'earliest')
    throw new CodedError('OPTION_INVALID', '--from: the job reads no topic; files are read from their beginning')
  if (from.kind !== 'offsets') return
  const unread = [...from.topics.keys()].filter(topic => !topics.includes(topic))
  if (unread.length > 0)
    throw new CodedError('OPTION_INVALID', `--from: the job reads ${topics.join(', ')}, not ${unread.join(', ')}`)
}

function apart(sink: SinkSpec, as: string): SinkSpec {
  switch (sink.connector) {
    case 'files':
      return { ...sink, folder: `${sink.folder}-${as}` }
    case 'log':
    case 'kafka':
      return { ...sink, topic: `${sink.topic}-${as}` }
    case 'stdout':
      return sink
  }
}
