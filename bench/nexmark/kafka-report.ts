/** What the measurements from Kafka to Kafka say: a table of their own, which cannot be set beside figures of events in memory. */
import { columns, escaped, htmlTable } from '../page.ts'
import { queryOf } from './catalogue.ts'
import { contenders, type Contender } from './kafka-jobs.ts'
import type { KafkaMeasured, KafkaRoundsOf } from './kafka-rounds.ts'
import { geometricMean, range, ratioText, spread, type Spread } from './report.ts'

export interface KafkaSetting {
  /** Kafka Streams' version, or why it is left out. */
  readonly streams: string
  readonly cairnReadsWith: string
  readonly warm: number
  /** Queries that were asked for and that Kafka Streams does not have. */
  readonly without: readonly number[]
}

type Figure = 'perCpuSecond' | 'perSecond'

export interface KafkaSummary {
  readonly query: number
  readonly title: string
  readonly rows: number
  readonly systems: Readonly<Record<Contender, Readonly<Record<Figure, Spread>>>>
  /** Of Cairn by Kafka Streams in the same round; none where the output is not what it has to be. */
  readonly ratios?: Readonly<Record<Figure, Spread>>
  readonly verdict: string
}

export function summariseKafka({ query, expected, systems }: KafkaRoundsOf): KafkaSummary {
  const due = expected.last ?? expected.hash
  const wrong = contenders.filter(who => systems[who].some(({ rows, hash }) => rows !== expected.rows || hash !== due))
  const of = (rounds: readonly KafkaMeasured[]): Readonly<Record<Figure, Spread>> => ({
    perCpuSecond: spread(rounds.map(each => each.perCpuSecond)),
    perSecond: spread(rounds.map(each => each.perSecond))
  })
  const ratio = (figure: Figure): Spread =>
    spread(systems.cairn.map((own, i) => own[figure] / (systems['kafka-streams'][i]?.[figure] ?? NaN)))
  return {
    query,
    title: queryOf(query).title,
    rows: expected.rows,
    systems: { cairn: of(systems.cairn), 'kafka-streams': of(systems['kafka-streams']) },
    ...(wrong.length === 0 && { ratios: { perCpuSecond: ratio('perCpuSecond'), perSecond: ratio('perSecond') } }),
    verdict: wrong.length === 0 ? 'equal' : `VOID: results of ${wrong.join(' and ')} differ from those in memory`
  }
}

const headings = [
  'query',
  'Cairn, k/CPU s',
  'k/s',
  'Kafka Streams, k/CPU s',
  'k/s',
  'Cairn/Kafka Streams per CPU s',
  'per s',
  'rows',
  'results'
]

const cells = ({ query, title, systems, ratios, rows, verdict }: KafkaSummary): string[] => [
  `${query} ${title}`,
  ...contenders.flatMap(who => [range(systems[who].perCpuSecond), range(systems[who].perSecond)]),
  ratios === undefined ? '' : ratioText(ratios.perCpuSecond),
  ratios === undefined ? '' : ratioText(ratios.perSecond),
  rows.toLocaleString('en-US'),
  verdict
]

const describe = ({ streams, cairnReadsWith, warm, without }: KafkaSetting): string =>
  `From Kafka to Kafka, exactly once, a commit every second: Cairn, which reads with the ${cairnReadsWith} client, and ${streams}. ` +
  `One broker, one partition, ${warm.toLocaleString('en-US')} events before the others to get warm. These figures cannot be set beside those of events in memory.` +
  (without.length === 0 ? '' : ` Left out, since they have windows: queries ${without.join(', ')}.`)

function closing(summaries: readonly KafkaSummary[]): string {
  const ratios = summaries.flatMap(each => each.ratios?.perCpuSecond.median ?? [])
  if (ratios.length === 0) return 'No ratio.'
  return `Cairn by Kafka Streams, events per CPU second: geometric mean ${geometricMean(ratios).toFixed(2)} of ${ratios.length} queries, least ${Math.min(...ratios).toFixed(2)}.`
}

export function kafkaTable(summaries: readonly KafkaSummary[], setting: KafkaSetting): string {
  const text = columns([headings, ...summaries.map(cells)], [0, headings.length - 1])
  return [describe(setting), '', ...text, '', closing(summaries), ''].join('\n')
}

/** Part of a page. */
export const kafkaHtml = (summaries: readonly KafkaSummary[], setting: KafkaSetting): string =>
  `<h2>From Kafka to Kafka</h2>
<p>${escaped(describe(setting))}</p>
${htmlTable([headings, ...summaries.map(cells)])}
<p>${escaped(closing(summaries))}</p>`
