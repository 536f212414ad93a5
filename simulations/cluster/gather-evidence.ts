/** What a simulated run left behind, for the checkers: read from the world, never asked of the code under test. */
import type { Decision } from '../../checkpoint/decision-log.ts'
import { readLedgerRecord } from '../broker/ledger-records.ts'
import type { DecisionEvidence, LimitEvidence, Publication, RunEvidence, ToldPosition } from '../checkers/evidence.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { SlotName } from '../../runtime/ports/publisher.ts'
import type { Scenario } from './scenario.ts'
import type { SimCluster } from './sim-cluster.ts'

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

export function gatherEvidence(cluster: SimCluster, scenario: Partial<Scenario> = {}): RunEvidence {
  const { storage } = cluster
  const { publications, among, epochs } = publicationsOf(cluster)
  return {
    decisions: decisionsOf(cluster),
    readObject: name => storage.archive.get(name),
    storedAtEnd: storage.names(),
    storageHistory: storage.history,
    publications,
    loose: cluster.loose,
    fencings: cluster.fencings.map(fencing => ({ ...fencing, after: among(fencing.after) })),
    ...(cluster.told.size === 0 ? {} : { told: toldOf(cluster, epochs) }),
    limits: limitsOf(cluster, scenario),
    calmFromMs: scenario.healAtMs ?? 0,
    finished: cluster.ended === 'finished',
    waitingFor: cluster.ended === undefined ? cluster.waitingFor : []
  }
}

/** A job has ended once the end of its last transactions is decided: their markers may still be on their way. */
function toldOf({ broker, told }: SimCluster, epochs: ReadonlyMap<number, number>): ToldPosition[] {
  const sources = new Map([...told].map(([source, topic]) => [topic, source]))
  const decided = broker.groups.decided(broker.coordinator.committing).map(each => ({ ...each, atMs: broker.now }))
  return [...broker.groups.history, ...decided].map(({ topic, partition, offset: position, atMs, transaction }) => ({
    source: sources.get(topic) ?? topic,
    partition,
    position,
    atMs,
    along: transaction === undefined ? undefined : epochs.get(transaction)
  }))
}

function decisionsOf({ storage }: SimCluster): DecisionEvidence[] {
  return storage.history
    .filter(({ operation, outcome, name }) => operation === 'create' && outcome === 'created' && isDecision(name))
    .map(({ atMs, name }) => ({
      sequence: Number(name.slice(name.indexOf('/') + 1)),
      decision: (JSON.parse(new TextDecoder().decode(storage.archive.get(name))) as { decision: Decision }).decision,
      atMs
    }))
    .sort((a, b) => a.sequence - b.sequence)
}

const isDecision = (name: string): boolean => name.startsWith('decisions/')

/** Every committed transaction that holds a ledger entry, in the order of the decisions to commit. */
function publicationsOf({ broker }: SimCluster): {
  readonly publications: Publication[]
  /** How many there are among the first transactions that were committed: some only tell where sources are. */
  readonly among: (commits: number) => number
  /** Which epoch each of them belongs to, by transaction. */
  readonly epochs: ReadonlyMap<number, number>
} {
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
  const publications: Publication[] = []
  const counts = [0]
  const epochs = new Map<number, number>()
  for (const { transaction, atMs } of broker.coordinator.commits) {
    const { entry, records } = written.get(transaction) ?? { entry: undefined, records: [] }
    if (entry !== undefined) {
      const ledger = readLedgerRecord(entry.value)
      publications.push({ slot: slotOf(entry.key), entry: ledger, records, atMs })
      epochs.set(transaction, ledger.epoch)
    }
    counts.push(publications.length)
  }
  return { publications, among: commits => counts[commits] as number, epochs }
}

function slotOf(transactionalId: string): SlotName {
  const [job, lineage, sink, stage, slot] = transactionalId.split('.') as [string, string, string, string, string]
  return { job, lineage: Number(lineage), sink, stage, slot: Number(slot) }
}
