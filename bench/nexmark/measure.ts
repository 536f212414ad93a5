/** One measurement in a process of its own: `node dist/bench/nexmark/measure.js '<spec as JSON>'` prints its result as JSON. */
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { loadQuery, queryOf } from './catalogue.ts'
import { Discard, RowBuffer, usage } from './discard.ts'
import { NexmarkBytes } from './generator.ts'
import { loopOf } from './loops.ts'
import { runQuery } from './run.ts'

export type System = 'cairn' | 'loop' | 'scan'

export interface MeasureSpec {
  readonly system: System
  readonly query: number
  /** File of the events, and how many are in it. */
  readonly path: string
  readonly events: number
}

export interface Measured {
  readonly perCpuSecond: number
  readonly perSecond: number
  /** Greatest resident memory beyond what was there before the first event, the events themselves included. */
  readonly peakMiB: number
  readonly rows: number
  readonly hash: string
  readonly checkpoints: number
}

async function measure({ system, query, path, events: count }: MeasureSpec): Promise<Measured> {
  const discard = new Discard(queryOf(query))
  const take = (records: readonly OutputRecord[]): void => discard.take(discard.valuesOf(records))
  const job = system === 'cairn' ? await loadQuery(query) : undefined
  const events = NexmarkBytes.read(path, count)
  const restMiB = process.memoryUsage.rss() / 1024 ** 2
  const before = usage()
  let checkpoints = 0
  if (job !== undefined) checkpoints = await runQuery(job, events, { take })
  else {
    const rows = new RowBuffer(discard)
    const loop = loopOf(query, system === 'scan' ? 'scan' : 'loop')
    if (loop === undefined) throw new RangeError(`query ${query} has no ${system}`)
    loop(events, row => rows.write(row))
    rows.flush()
  }
  const after = usage()
  return {
    perCpuSecond: (count * 1000) / (after.cpuMs - before.cpuMs - discard.cpuMs),
    perSecond: (count * 1000) / (after.wallMs - before.wallMs - discard.wallMs),
    peakMiB: process.resourceUsage().maxRSS / 1024 - restMiB,
    rows: discard.rows,
    hash: discard.hash,
    checkpoints
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await measure(JSON.parse(text) as MeasureSpec))}\n`)
// What a broken-off source still waits for must not keep the process.
process.exit(0)
