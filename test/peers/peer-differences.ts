/**
 * Two outputs of one program, record by record. What differs is either explained by a rule that is checked on the input, and counted under it, or
 * it is a sentence of its own.
 */
import { gapMs, latenessMs, sizeMs, withinMs, type PeerEvent, type Program } from './peer-job.ts'

export interface PeerRow {
  readonly timestamp: number
  readonly key: string
  readonly n?: number
  readonly sum?: number
  readonly value?: number
  readonly start?: number
  readonly end?: number
}

/** Each is explained in docs/kafka-streams.md, under these words. */
export const reasons = {
  updateTime: 'timestamp of an update',
  resultTime: 'timestamp of a window’s result',
  sessionEnd: 'end of a session',
  replaced: 'a result before its lateness is over',
  late: 'what is late where a topic has several partitions',
  boundary: 'a session’s last ms of lateness'
} as const
export type Reason = (typeof reasons)[keyof typeof reasons]

export interface Differences {
  /** Records that are equal but for what a reason names. */
  readonly equal: number
  readonly explained: ReadonlyMap<Reason, number>
  readonly unexplained: readonly string[]
}

class Found implements Differences {
  equal = 0
  readonly explained = new Map<Reason, number>()
  readonly unexplained: string[] = []

  because(reason: Reason): void {
    this.explained.set(reason, (this.explained.get(reason) ?? 0) + 1)
  }
}

const isEnd = ({ key }: { readonly key: string }): boolean => key.startsWith('end')

/** @param cairn in the order of each key, as is `streams`; `events` in the order of each partition */
export function differences(
  program: Program,
  cairn: readonly PeerRow[],
  streams: readonly PeerRow[],
  events: readonly PeerEvent[]
): Differences {
  const found = new Found()
  const own = cairn.filter(row => !isEnd(row))
  const theirs = streams.filter(row => !isEnd(row))
  if (program === 'count') counts(found, own, theirs, events)
  else if (program === 'dedupe') firsts(found, own, theirs, events)
  else windows(found, program, own, theirs, events)
  return found
}

function grouped<T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const key = keyOf(row)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [row])
    else group.push(row)
  }
  return groups
}

const keyOf = ({ key }: { readonly key: string }): string => key

function counts(found: Found, cairn: readonly PeerRow[], streams: readonly PeerRow[], events: readonly PeerEvent[]) {
  const [own, theirs] = [grouped(cairn, keyOf), grouped(streams, keyOf)]
  for (const [key, list] of grouped(
    events.filter(event => !isEnd(event)),
    keyOf
  )) {
    let newest = -Infinity
    for (const [i, { timestamp }] of list.entries()) {
      newest = Math.max(newest, timestamp)
      const [a, b] = [own.get(key)?.[i], theirs.get(key)?.[i]]
      if (a?.n === i + 1 && b?.n === i + 1) found.equal++
      else found.unexplained.push(`count of ${key}: update ${i + 1} is ${a?.n} here and ${b?.n} there`)
      if (a?.timestamp !== timestamp || b?.timestamp !== newest)
        found.unexplained.push(`count of ${key}: update ${i + 1} is of ${a?.timestamp} here and ${b?.timestamp} there`)
      else if (timestamp !== newest) found.because(reasons.updateTime)
    }
    if (own.get(key)?.length !== list.length || theirs.get(key)?.length !== list.length)
      found.unexplained.push(`count of ${key}: there are more updates than events`)
  }
}

interface TimedEvent extends PeerEvent {
  readonly reached: number
}

/** Events with the time that their partition had reached before them. */
function* withTime(events: readonly PeerEvent[]): Generator<TimedEvent> {
  const reached = new Map<number, number>()
  for (const event of events) {
    const before = reached.get(event.partition) ?? -Infinity
    yield { ...event, reached: before }
    reached.set(event.partition, Math.max(before, event.timestamp))
  }
}

function firsts(found: Found, cairn: readonly PeerRow[], streams: readonly PeerRow[], events: readonly PeerEvent[]) {
  const idOf = ({ key, value }: { readonly key: string; readonly value?: number }): string => `${key}/${value}`
  // Passed only because its partition's time had moved on: where other partitions hold the watermark it may not.
  const late = new Set<string>()
  const until = new Map<string, number>()
  for (const event of withTime(events)) {
    const known = until.get(idOf(event)) ?? -Infinity
    if (event.timestamp < known && event.reached < known) continue
    if (event.timestamp < known) late.add(idOf(event))
    until.set(idOf(event), event.timestamp + withinMs)
  }
  const [own, theirs] = [grouped(cairn, idOf), grouped(streams, idOf)]
  for (const id of new Set([...own.keys(), ...theirs.keys()])) {
    const [a = [], b = []] = [own.get(id), theirs.get(id)]
    const same = a.length === b.length && a.every(({ timestamp }, i) => timestamp === b[i]?.timestamp)
    if (same) found.equal += a.length
    else if (late.has(id)) found.because(reasons.late)
    else found.unexplained.push(`dedupe: ${id} passes ${a.length} times here and ${b.length} times there`)
  }
}

/**
 * Without results that a later one of the same window, or of a session that grew, has replaced. A session that was purged, and then overlapped by
 * another one, is none of these; then the others have it, too.
 */
function settled(found: Found, rows: readonly PeerRow[], theirs: ReadonlyMap<string, PeerRow>): Map<string, PeerRow> {
  const last = new Map<string, PeerRow>()
  for (const [, list] of grouped(rows, keyOf)) {
    for (const [i, row] of list.entries()) {
      const { start = NaN, end = NaN } = row
      const other = theirs.get(`${row.key} from ${start}`)
      const isOverlapped = list.slice(i + 1).some(later => (later.start ?? NaN) <= start && (later.end ?? NaN) >= end)
      if (isOverlapped && (other?.n !== row.n || other?.sum !== row.sum)) found.because(reasons.replaced)
      else last.set(`${row.key} from ${start}`, row)
    }
  }
  return last
}

function windows(
  found: Found,
  program: 'tumbling' | 'session',
  cairn: readonly PeerRow[],
  streams: readonly PeerRow[],
  events: readonly PeerEvent[]
) {
  const theirs = new Map(streams.map(row => [`${row.key} from ${row.start}`, row]))
  const own = settled(found, cairn, theirs)
  if (theirs.size < streams.length) found.unexplained.push(`${program}: Kafka Streams says a window twice`)
  const byKey = grouped([...withTime(events)], keyOf)
  const lengthMs = program === 'session' ? gapMs : sizeMs
  const isSeveral = new Set(events.map(({ partition }) => partition)).size > 1
  for (const id of new Set([...own.keys(), ...theirs.keys()])) {
    const [a, b] = [own.get(id), theirs.get(id)]
    const { key, start = NaN, end = NaN } = a ?? (b as PeerRow)
    const ends = program === 'session' ? (b?.end ?? NaN) + gapMs : b?.end
    if (a !== undefined && b !== undefined && a.n === b.n && a.sum === b.sum && a.end === ends) {
      found.equal++
      if (program === 'session') found.because(reasons.sessionEnd)
      const newest = Math.max(
        ...(byKey.get(key) ?? [])
          .map(({ timestamp }) => (timestamp >= start && timestamp < end ? timestamp : NaN))
          .filter(Number.isFinite)
      )
      if (a.timestamp !== end - 1 || b.timestamp > newest)
        found.unexplained.push(`${program} of ${id}: of ${a.timestamp} here, of ${b.timestamp} there`)
      else found.because(reasons.resultTime)
      continue
    }
    // Behind its own partition's time, and near the window: it was dropped there, or found a session purged that it would have joined.
    const near = (byKey.get(key) ?? []).filter(
      ({ timestamp }) => timestamp >= start - lengthMs && timestamp <= end + lengthMs
    )
    const isBehind = ({ timestamp, reached }: TimedEvent): boolean =>
      reached - latenessMs >= (program === 'session' ? timestamp : (Math.floor(timestamp / sizeMs) + 1) * sizeMs)
    const isOnEdge = ({ timestamp, reached }: TimedEvent): boolean => reached - latenessMs === timestamp + gapMs
    if (isSeveral && near.some(isBehind)) found.because(reasons.late)
    else if (program === 'session' && near.some(isOnEdge)) found.because(reasons.boundary)
    else found.unexplained.push(`${program} of ${id}: ${JSON.stringify(a)} here, ${JSON.stringify(b)} there`)
  }
}
