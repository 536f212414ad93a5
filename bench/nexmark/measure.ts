/** One measurement in a process of its own: `node dist/bench/nexmark/measure.js '<spec as JSON>'` prints its result as JSON. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { measureFlink, type Flink } from '../peers/flink.ts'
import { loadQuery, queryOf } from './catalogue.ts'
import { Discard, RowBuffer, usage } from './discard.ts'
import { NexmarkBytes } from './generator.ts'
import { hashOfLast } from './hash.ts'
import { loopOf } from './loops.ts'
import { runQuery } from './run.ts'

export type System = 'cairn' | 'loop' | 'scan' | 'flink-heap' | 'flink-rocksdb'

export interface MeasureSpec {
  readonly system: System
  readonly query: number
  /** File of the events, and how many are in it. */
  readonly path: string
  readonly events: number
  /** Where the last rows of updates are to be compared, too. */
  readonly last?: boolean
  /** Where Flink is to be measured. */
  readonly flink?: Flink
}

export interface Measured {
  readonly perCpuSecond: number
  readonly perSecond: number
  /** Greatest resident memory beyond what was there before the first event, the events themselves included. */
  readonly peakMiB: number
  readonly rows: number
  /** Of all rows; empty: they need not be the same as elsewhere, what is left of them does. */
  readonly hash: string
  /** Of updates: hash of the last row of each key. */
  readonly last?: string
  /** Of a peer: with all CPU since its process began, its start included. */
  readonly wholePerCpuSecond?: number
  /** Of a peer: of the second half of the events alone. */
  readonly laterPerCpuSecond?: number
  readonly checkpoints: number
}

async function measure(spec: MeasureSpec): Promise<Measured> {
  const { system, query, path, events, flink } = spec
  switch (system) {
    case 'flink-heap':
    case 'flink-rocksdb': {
      if (flink === undefined) throw new Error('where Flink is was not said')
      const backend = system === 'flink-heap' ? 'heap' : 'rocksdb'
      return measureFlink(flink, { backend, query, path, events })
    }
    default: {
      const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-rows-'))
      try {
        return await measureHere(spec, join(folder, 'rows'))
      } finally {
        rmSync(folder, { recursive: true })
      }
    }
  }
}

async function measureHere({ system, query, path, events: count, last }: MeasureSpec, file: string): Promise<Measured> {
  const keepRows = last === true && queryOf(query).result === 'updates'
  const discard = new Discard(queryOf(query), keepRows ? file : undefined)
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
  const peakMiB = process.resourceUsage().maxRSS / 1024 - restMiB
  discard.close()
  return {
    perCpuSecond: (count * 1000) / (after.cpuMs - before.cpuMs - discard.cpuMs),
    perSecond: (count * 1000) / (after.wallMs - before.wallMs - discard.wallMs),
    peakMiB,
    rows: discard.rows,
    hash: discard.hash,
    ...(keepRows ? { last: await hashOfLast(queryOf(query), file) } : {}),
    checkpoints
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await measure(JSON.parse(text) as MeasureSpec))}\n`)
// What a broken-off source still waits for must not keep the process.
process.exit(0)
