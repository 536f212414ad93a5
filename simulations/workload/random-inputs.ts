/** Random records, each a program for the stages that its lane leads to. */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Program, SourceRecord } from './program.ts'
import { Programs, programTarget, type ProgramOptions } from './random-programs.ts'
import { RandomTraces, type Traced } from './random-traces.ts'
import { realLeg, strayLane, type ActorShape, type Leg, type Shape, type SourceShape } from './shape.ts'

export interface InputRecord extends Traced {
  readonly timestamp: number
  readonly value: Uint8Array
  /** What the bytes hold; undefined: they are malformed. */
  readonly record: SourceRecord | undefined
}
/** By source, by partition. */
export type Inputs = readonly (readonly (readonly InputRecord[])[])[]

export interface InputOptions extends ProgramOptions {
  /** So many are made, unless `events` asks for more. */
  readonly records: number
  /** Events that actors handle, timers apart: as many records are made as these take. */
  readonly events: number
  /** In how many of a hundred records. */
  readonly malformed: number
  readonly repeats: number
}

const encoder = new TextEncoder()
const firstTime = 1_000_000
/** Where most records go to sinks only, their number must end somewhere. */
const recordsPerEvent = 4

/** At least so many events of stages come from an item that leaves on these legs. */
function eventsOf(shape: Shape, legs: readonly Leg[], program: Program): number {
  let events = 0
  for (const { to, copy, step } of legs) {
    if (to.kind !== 'stage') continue
    events += step === 'split' ? 2 : step === 'thin' ? 0 : 1
    const stage = shape.stages[to.stage]
    if (!copy && stage?.kind === 'actor') events += eventsWithin(shape, stage, program)
  }
  return events
}

function eventsWithin(shape: Shape, stage: ActorShape, { ops }: Program): number {
  let events = 0
  if (ops.some(({ op }) => op === 'throw')) return 0
  for (const op of ops)
    if (op.op === 'send') events += 1 + eventsWithin(shape, shape.stages[op.to] as ActorShape, op.item)
    else if (op.op === 'next') events += eventsOf(shape, stage.next, op.item)
  return events
}

interface PartitionDraft {
  readonly source: number
  readonly partition: number
  readonly records: Omit<InputRecord, keyof Traced>[]
  greatest: number
  /** Time between two records, about. */
  readonly step: number
}

export function randomInputs(random: Prng, shape: Shape, options: InputOptions): Inputs {
  const programs = new Programs(random.fork('programs'), shape, options)
  const drafts = shape.sources.map((source, s) =>
    Array.from({ length: source.partitions }, (_, partition): PartitionDraft => {
      const step = 2 + random.int(12)
      return { source: s, partition, records: [], greatest: firstTime + 2 * random.int(20), step }
    })
  )
  const all = drafts.flat()
  // A stream of its own, so that nothing else is drawn anew.
  const traces = new RandomTraces(random.fork('traces'))
  const most = Math.max(options.records, recordsPerEvent * options.events)
  for (let made = 0, events = 0; made < most && (made < options.records || events < options.events);) {
    // The one that is furthest behind, mostly: partitions cover about the same times.
    const behind = all.reduce((a, b) => (b.greatest < a.greatest ? b : a))
    const draft = random.int(4) === 0 ? (all[random.int(all.length)] as PartitionDraft) : behind
    made += addRecords(draft, random, shape, programs, options)
    const { record } = draft.records.at(-1) as PartitionDraft['records'][number]
    if (record !== undefined) events += eventsOf(shape, shape.sources[draft.source]?.lanes[record.lane] ?? [], record)
  }
  return drafts.map(partitions =>
    partitions.map(({ records }) => records.map(record => ({ ...record, ...traces.next() })))
  )
}

/** One record, or one that comes twice. */
function addRecords(
  draft: PartitionDraft,
  random: Prng,
  shape: Shape,
  programs: Programs,
  options: InputOptions
): number {
  const source = shape.sources[draft.source] as SourceShape
  const { records, partition } = draft
  draft.greatest += 2 * random.int(draft.step)
  const at = draft.greatest - 2 * random.int(source.boundMs / 2)
  if (random.int(100) < options.malformed) {
    records.push({ timestamp: at, value: encoder.encode(`{"malformed ${records.length}`), record: undefined })
    return 1
  }
  if (shape.strays?.source === draft.source && random.int(15) === 0) {
    records.push(strayRecord(draft, source, random, programs))
    return 1
  }
  const lane = random.int(source.lanes.length)
  const legs = source.lanes[lane] as readonly Leg[]
  const id = `${source.name}/${partition}/${records.length}`
  const found = programTarget(shape, legs)
  const owner = found?.ordered === true ? `${draft.source}/${partition}/${lane}` : ''
  const program = programs.first(found, { id, owner, w: 1 + random.int(100), v: random.int(1000) }, at)
  const add = (record: SourceRecord): void => {
    records.push({ timestamp: record.at, value: encoder.encode(JSON.stringify(record)), record })
  }
  const record = { ...program, at, partition, seq: records.length, lane }
  add(record)
  const to = realLeg(legs)?.to
  const deduped = to?.kind === 'stage' && shape.stages[to.stage]?.kind === 'dedupe'
  if (!deduped || random.int(100) >= options.repeats) return 1
  add({ ...record, w: 0, ops: [], seq: records.length, at: draft.greatest - 2 * random.int(source.boundMs / 2) })
  return 2
}

/** Later than the source allows, and weightless. */
function strayRecord(
  { records, partition, greatest }: PartitionDraft,
  { name, boundMs }: SourceShape,
  random: Prng,
  programs: Programs
): PartitionDraft['records'][number] {
  const at = greatest - boundMs - 2 * random.int(200)
  const record: SourceRecord = {
    id: `${name}/${partition}/${records.length}`,
    key: programs.key(),
    owner: '',
    w: 0,
    v: 0,
    ops: [],
    at,
    partition,
    seq: records.length,
    lane: strayLane
  }
  return { timestamp: at, value: encoder.encode(JSON.stringify(record)), record }
}
