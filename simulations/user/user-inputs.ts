/** What the sources of a user's job read in a run: recorded before it, so that every run of a seed, and every replay in it, reads the same. */
import type { SourceSpec } from '../../actors/connectors.ts'
import type { NodeId, Plan, SourceNode } from '../../actors/plan.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { keyText, type Key } from '../../runtime/kernel/keys.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { LogRecord } from '../workload/memory-log.ts'
import { worldEpochMs } from '../world/clock.ts'
import type { Evaluated } from './sandbox.ts'

export interface UserInputs {
  /** Equal for equal inputs. */
  readonly name: string
  /** By source, by partition. */
  readonly records: ReadonlyMap<string, readonly (readonly LogRecord[])[]>
  readonly count: number
}

/** By source; read from disk once. */
export type RecordedFiles = ReadonlyMap<string, readonly (readonly LogRecord[])[]>

export interface InputOptions {
  readonly seed: string
  readonly random: Prng
  /** Of each source, at most. */
  readonly records: number
  readonly files: RecordedFiles
}

/** Of records that are objects: what counts against the bytes of a fetch. */
const oneByte = new Uint8Array(1)

export function sourcesOf(plan: Plan): SourceNode[] {
  return plan.nodes.filter((node): node is SourceNode => node.kind === 'source')
}

/** Sources whose records lie in files, which are to be read beforehand. Throws JOB_FILE_INVALID on one that has no events at all. */
export function filesToRecord({ job, simulation }: Evaluated): SourceNode[] {
  return sourcesOf(job.plan).filter(node => {
    const handle = handleOf(job.plan, node)
    if (handle !== undefined && simulation?.events[handle] !== undefined) return false
    const { connector } = node.source
    if (connector === 'generator') return false
    if (connector === 'lines' || connector === 'csv') return true
    const how =
      handle === undefined
        ? `return it from the builder of the job, then give events under its name`
        : `export const simulation = simulationOf(job, { events: { ${handle}: random => [ … ] } })`
    throw new CodedError(
      'JOB_FILE_INVALID',
      `source "${node.name}" reads a topic: a simulated run needs events for it`,
      {
        remedy: `In the job file: ${how}.`
      }
    )
  })
}

export function makeInputs({ job, simulation }: Evaluated, options: InputOptions): UserInputs {
  const { seed, random, records: limit, files } = options
  const records = new Map<string, readonly (readonly LogRecord[])[]>()
  let name = String(limit)
  for (const node of sourcesOf(job.plan)) {
    const events = simulation?.events[handleOf(job.plan, node) ?? '']
    if (events !== undefined) {
      const values = firstOf(typeof events === 'function' ? events(random.fork(`events ${node.name}`)) : events, limit)
      const partitions = ([1, 1, 2, 3] as const)[random.fork(`partitions ${node.name}`).int(4)] as number
      records.set(node.name, dealt(job.plan, node, values, partitions))
      name += typeof events === 'function' ? ` ${seed}` : ` ${partitions}`
    } else if (node.source.connector === 'generator') records.set(node.name, generated(node.source, limit))
    else {
      const partitions = files.get(node.name) ?? []
      const each = Math.ceil(limit / Math.max(1, partitions.length))
      records.set(
        node.name,
        partitions.map(partition => partition.slice(0, each))
      )
    }
  }
  const count = [...records.values()].flat().reduce((sum, { length }) => sum + length, 0)
  return { name, records, count }
}

const handleOf = (plan: Plan, node: SourceNode): string | undefined =>
  Object.entries(plan.handles).find(([, { kind, name }]) => kind === 'source' && name === node.name)?.[0]

function firstOf<T>(values: Iterable<T>, limit: number): T[] {
  const found: T[] = []
  if (limit > 0)
    for (const value of values) {
      found.push(structuredClone(value))
      if (found.length === limit) break
    }
  return found
}

function generated(
  source: Extract<SourceSpec, { connector: 'generator' }>,
  limit: number
): readonly (readonly LogRecord[])[] {
  const each = Math.min(source.count, Math.ceil(limit / source.partitions))
  return Array.from({ length: source.partitions }, (_, partition) =>
    Array.from({ length: each }, (_, sequence) => objectRecord(structuredClone(source.make(sequence, partition)), NaN))
  )
}

/** Each clone of it is what one read gives. */
function objectRecord(value: unknown, timestamp: number): LogRecord {
  return { timestamp, value: oneByte, object: () => structuredClone(value) }
}

/** As a topic would hold them whose records are keyed as the job keys them first. */
function dealt(plan: Plan, node: SourceNode, values: readonly unknown[], partitions: number): LogRecord[][] {
  const dealt = Array.from({ length: partitions }, (): LogRecord[] => [])
  values.forEach((value, i) => {
    const at = worldEpochMs + i * 10
    const record =
      'codec' in node.source ? { timestamp: at, value: node.source.codec.encode(value) } : objectRecord(value, NaN)
    dealt[partitions === 1 ? 0 : hash(firstKey(plan, node.id, value)) % partitions]?.push(record)
  })
  return dealt
}

/** The first key that a value of a node gets on its way, '' when it gets none. */
function firstKey(plan: Plan, from: NodeId, value: unknown): string {
  try {
    for (const node of plan.nodes) {
      if (!('input' in node) || node.input.node !== from) continue
      if (node.kind === 'keyBy') return keyText(node.f(value as never) as Key)
      if (node.kind === 'filter' && !node.f(value as never)) continue
      if (node.kind === 'filter') return firstKey(plan, node.id, value)
      if (node.kind === 'map') return firstKey(plan, node.id, node.f(value as never))
      if (node.kind === 'flatMap') for (const each of node.f(value as never)) return firstKey(plan, node.id, each)
    }
  } catch {
    // A function of the job that throws does so in the run, where it is told.
  }
  return ''
}

function hash(text: string): number {
  let hash = 7
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) >>> 0
  return hash
}
