/**
 * Where the time of a query goes, from the first event to the last. A process of its own: `node dist/bench/nexmark/profile.js '<spec as JSON>'`
 * prints it as JSON.
 */
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { CpuProfile } from '../cpu-profile.ts'
import { loadQuery, queryOf } from './catalogue.ts'
import { Discard, usage } from './discard.ts'
import { NexmarkBytes } from './generator.ts'
import type { MeasureSpec } from './measure.ts'
import { runQuery } from './run.ts'

export interface Profiled {
  /** CPU of the whole process by events, without what hashing the results costs. */
  readonly nsPerEvent: number
  /** By name of the stage; they sum up to all. */
  readonly stages: Readonly<Record<string, number>>
}

async function profile({
  query,
  path,
  events: count
}: Pick<MeasureSpec, 'query' | 'path' | 'events'>): Promise<Profiled> {
  const discard = new Discard(queryOf(query))
  const take = (records: readonly OutputRecord[]): void => discard.take(discard.valuesOf(records))
  const job = await loadQuery(query)
  const events = NexmarkBytes.read(path, count)
  const running = await CpuProfile.start()
  const before = usage()
  await runQuery(job, events, { take })
  const nsPerEvent = ((usage().cpuMs - before.cpuMs - discard.cpuMs) * 1e6) / count
  const shares = await running.stop(({ url }) => /nexmark\/discard\.js/.test(url))
  return {
    nsPerEvent,
    stages: Object.fromEntries(Object.entries(shares).map(([stage, share]) => [stage, nsPerEvent * share]))
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await profile(JSON.parse(text) as MeasureSpec))}\n`)
process.exit(0)
