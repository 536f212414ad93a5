/** A query from Kafka to Kafka as a process of its own: by Cairn, by Kafka Streams. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import type { Check } from '../kafka/bench-topics.ts'
import { startProcess, type StartedJob } from '../kafka/started-job.ts'
import { streamsCommandOf, type Streams } from '../peers/nexmark-streams.ts'
import { queryOf, type Query } from './catalogue.ts'
import { LastRows, RowsHash } from './hash.ts'

export const contenders = ['cairn', 'kafka-streams'] as const
export type Contender = (typeof contenders)[number]

/**
 * Events are in one partition, so that all read them in the same order: who came first decides some rows of queries 18 and 19. More of them would not help
 * either: Cairn and Kafka Streams have one thread each.
 */
export const partitions = 1

/** Between commits; what the queries of Cairn have by default. */
const intervalMs = 1000

export interface KafkaJob {
  readonly who: Contender
  readonly query: number
  /** New. */
  readonly name: string
}

export interface KafkaPlace {
  /** For what jobs leave behind. */
  readonly folder: string
  readonly brokers: readonly string[]
  readonly streams: Streams
}

export interface JobTopics {
  readonly from: string
  readonly to: string
}

/** Cairn's output goes to the topic of the query, with the name that `--as` gives behind it. */
export const topicsOf = ({ query, name }: KafkaJob): JobTopics => ({
  from: `${name}-in`,
  to: `nexmark-q${query}-${name}`
})

export function startQuery(job: KafkaJob, { folder, brokers, streams }: KafkaPlace): StartedJob {
  const { who, query, name } = job
  const { from, to } = topicsOf(job)
  const own = join(folder, name)
  mkdirSync(own)
  switch (who) {
    case 'cairn': {
      const file = fileURLToPath(new URL(`queries/q${query}.js`, import.meta.url))
      const args = [join(root, 'deploy/bin/cairn.cjs'), 'run', file, '--as', name, '--kafka', brokers.join()]
      const environment = { NEXMARK_TOPIC: from }
      return startProcess({ who, command: [process.execPath, args], folder: own, environment, isQuiet: false })
    }
    case 'kafka-streams': {
      const command = streamsCommandOf(streams, { brokers, from, queries: [{ query, to }], intervalMs, folder: own })
      return startProcess({ who, command, folder: own, isQuiet: true })
    }
  }
}

/** What has to be equal: all rows, of updates the last of each key. */
export class RowsCheck implements Check {
  records = 0
  private readonly query: Query
  private readonly all = new RowsHash()
  private readonly last: LastRows

  constructor(query: number) {
    this.query = queryOf(query)
    this.last = new LastRows(this.query)
  }

  take(_: Uint8Array | undefined, value: Uint8Array | undefined): void {
    if (value === undefined) throw new Error('a row without a value')
    this.records++
    if (this.query.result === 'updates') this.last.take(Buffer.from(value).toString())
    else this.all.add(value)
  }

  get hash(): string {
    return this.query.result === 'updates' ? this.last.hash : this.all.text
  }
}
