/** What a simulated run left behind, for the checkers: read from the world, never asked of the code under test. */
import type { Decision } from '../../checkpoint/decision-log.ts'
import { firstLineage } from '../../checkpoint/lineages.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { readLedgerRecord } from '../broker/ledger-records.ts'
import type { DecisionEvidence, LimitEvidence, Publication, RunEvidence, ToldPosition } from '../checkers/evidence.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { SlotName } from '../../runtime/ports/publisher.ts'
import type { SimStorage } from '../world/storage.ts'
import type { Scenario } from './scenario.ts'
import type { SimCluster } from './sim-cluster.ts'
import { lineageOfName, nameIn, prefixOf } from './sim-lineages.ts'

/** Records that one event makes for one channel, at most, and bytes of one, in random jobs. */
const mostRecords = 16
const mostBytes = 2_000
const leastBytes = 40

/** A slice of work may overdraw a queue, and nothing else; where slices have no end worth mentioning, that says nothing. */
function limitsOf({ fullest }: SimCluster, { channels, slice }: Partial<Scenario>): LimitEvidence[] {
  if (channels === undefined || slice === undefined) return []
  const { queueRecords, windowBytes } = channels
  return [
    {
      name: 'a queue between two tasks, in records',
      // From another worker as many may come as its window lets out.
      limit: Math.max(queueRecords, windowBytes / leastBytes) + mostRecords * slice,
      greatest: fullest.queueRecords
    },
    {
      name: 'what is under way to a task of another worker, in bytes',
      limit: windowBytes + mostRecords * mostBytes * slice,
      greatest: fullest.windowBytes
    }
  ]
}

/** Of the lineage in which the job stands; those before it as `past`. */
export function gatherEvidence(cluster: SimCluster, scenario: Partial<Scenario> = {}): RunEvidence {
  const written = publicationsOf(cluster)
  const chain = lineagesOf(cluster.storage)
  const newest = chain.length - 1
  const all = chain.map((each, i) => ({
    ...ofLineage(cluster, each, written),
    ...(each.origin === undefined ? {} : { origin: each.origin }),
    ...(i < newest ? { ended: true as const } : {}),
    limits: i < newest ? [] : limitsOf(cluster, scenario),
    calmFromMs: scenario.healAtMs ?? 0,
    finished: i === newest && cluster.ended === 'finished',
    waitingFor: i === newest && cluster.ended === undefined ? cluster.waitingFor : []
  }))
  const last = all.at(-1) as RunEvidence
  return newest === 0 ? last : { ...last, past: all.slice(0, -1) }
}

function ofLineage(
  cluster: SimCluster,
  { lineage, fromMs, untilMs }: LineageSpan,
  written: Written
): Omit<RunEvidence, 'limits' | 'finished' | 'waitingFor'> {
  const { storage, told } = cluster
  const own = <T extends { readonly slot: SlotName }>(all: readonly T[]): T[] =>
    all.filter(({ slot }) => slot.lineage === lineage)
  const counts = [0]
  for (const each of written.commits) counts.push((counts.at(-1) as number) + (each?.slot.lineage === lineage ? 1 : 0))
  return {
    lineage,
    decisions: decisionsIn(storage, lineage),
    readObject: name => storage.archive.get(prefixOf(lineage) + name),
    storedAtEnd: storage.names().flatMap(name => nameIn(lineage, name) ?? []),
    storageHistory: storage.history.flatMap(each => {
      const name = nameIn(lineage, each.name)
      return name === undefined ? [] : [{ ...each, name }]
    }),
    publications: own(written.commits.filter(each => each !== undefined)),
    loose: cluster.loose,
    // Among all commits some are of other lineages, and some only tell where sources are.
    fencings: own(cluster.fencings).map(fencing => ({ ...fencing, after: counts[fencing.after] as number })),
    ...(told.size === 0
      ? {}
      : {
          told: toldOf(cluster, written.entries)
            .filter(({ slot, atMs }) =>
              slot === undefined ? atMs >= fromMs && atMs < untilMs : slot.lineage === lineage
            )
            .map(({ slot: _, ...position }) => position)
        })
  }
}

/** A job has ended once the end of its last transactions is decided: their markers may still be on their way. */
function toldOf(
  { broker, told }: SimCluster,
  entries: Written['entries']
): (ToldPosition & { readonly slot: SlotName | undefined })[] {
  const sources = new Map([...told].map(([source, topic]) => [topic, source]))
  const decided = broker.groups.decided(broker.coordinator.committing).map(each => ({ ...each, atMs: broker.now }))
  return [...broker.groups.history, ...decided].map(({ topic, partition, offset: position, atMs, transaction }) => {
    const along = transaction === undefined ? undefined : entries.get(transaction)
    return {
      source: sources.get(topic) ?? topic,
      partition,
      position,
      atMs,
      // An entry without records says whose the slot is; it is no output.
      along: along === undefined || along.records.length === 0 ? undefined : along.entry.epoch,
      slot: along?.slot
    }
  })
}

// ---- lineages

interface LineageSpan {
  readonly lineage: number
  readonly origin: RunEvidence['origin']
  /** From when to when the job stood in it. */
  readonly fromMs: number
  readonly untilMs: number
}

/** From the first to the one in which the job stands, as the decisions say. */
function lineagesOf(storage: SimStorage): LineageSpan[] {
  const chain: LineageSpan[] = []
  let next: Pick<LineageSpan, 'lineage' | 'origin' | 'fromMs'> | undefined = {
    lineage: firstLineage,
    origin: undefined,
    fromMs: 0
  }
  while (next !== undefined) {
    const last: DecisionEvidence | undefined = decisionsIn(storage, next.lineage).at(-1)
    const ends: Ends = last?.decision.kind === 'leads' ? last.decision.ends : undefined
    chain.push({ ...next, untilMs: ends === undefined ? Infinity : (last?.atMs ?? 0) })
    next =
      ends === undefined
        ? undefined
        : {
            lineage: ends.into,
            origin: { lineage: ends.lineage, epoch: ends.epoch },
            fromMs: last?.atMs ?? 0
          }
  }
  return chain
}

type Ends = Extract<Decision, { kind: 'leads' }>['ends']

/** All that anything was ever stored of, those that came to nothing too. */
export function lineagesEver(storage: SimStorage): number[] {
  const found = new Set([firstLineage])
  for (const name of storage.archive.keys()) {
    const lineage = lineageOfName(name)
    if (lineage !== undefined) found.add(lineage)
  }
  return [...found]
}

export function decisionsIn(storage: SimStorage, lineage: number): DecisionEvidence[] {
  const decided = `${prefixOf(lineage)}${objectNames.decisions}/`
  return storage.history
    .filter(
      ({ operation, outcome, name }) => operation === 'create' && outcome === 'created' && name.startsWith(decided)
    )
    .map(({ atMs, name }) => ({
      sequence: Number(name.slice(decided.length)),
      decision: (JSON.parse(new TextDecoder().decode(storage.archive.get(name))) as { decision: Decision }).decision,
      atMs
    }))
    .sort((a, b) => a.sequence - b.sequence)
}

// ---- publications

interface Written {
  /** What each committed transaction published, in the order of the decisions to commit; undefined: it has no ledger entry. */
  readonly commits: readonly (Publication | undefined)[]
  /** By transaction. */
  readonly entries: ReadonlyMap<number, Publication>
}

function publicationsOf({ broker }: SimCluster): Written {
  const written = new Map<number, { entry: { key: string; value: Uint8Array } | undefined; records: OutputRecord[] }>()
  for (const { configs, partitions } of broker.topics.values()) {
    const ledger = configs['cleanup.policy'] === 'compact'
    for (const [number, partition] of partitions.entries())
      for (const { transaction, records } of partition.everWritten) {
        if (transaction === undefined) continue
        let found = written.get(transaction)
        if (found === undefined) written.set(transaction, (found = { entry: undefined, records: [] }))
        for (const { offset: _, ...record } of records)
          if (ledger)
            found.entry = { key: new TextDecoder().decode(record.key), value: record.value ?? new Uint8Array() }
          else found.records.push({ partition: number, ...record })
      }
  }
  const entries = new Map<number, Publication>()
  const commits = broker.coordinator.commits.map(({ transaction, atMs }) => {
    const { entry, records } = written.get(transaction) ?? { entry: undefined, records: [] }
    if (entry === undefined) return undefined
    const publication = { slot: slotOf(entry.key), entry: readLedgerRecord(entry.value), records, atMs }
    entries.set(transaction, publication)
    return publication
  })
  return { commits, entries }
}

function slotOf(transactionalId: string): SlotName {
  const [job, lineage, sink, stage, slot] = transactionalId.split('.') as [string, string, string, string, string]
  return { job, lineage: Number(lineage), sink, stage, slot: Number(slot) }
}
