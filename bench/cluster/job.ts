/**
 * The job of the cluster benchmark, copied to where it runs: accounts of 100 bytes or more, in the order of their numbers, then all over
 * again; by class where there is a file of ACCOUNTS (`remote-share.ts`). With a RATE all are made first, as fast as can be, and then so
 * many events come a second.
 */
import { readFileSync } from 'node:fs'
import { Actor, files, generator, job, json, type Context } from 'cairn'

const { EVENTS = '1000000', KEYS = '10000', INTERVAL = '500ms', RATE = '', ACCOUNTS = '' } = process.env

interface Entry {
  readonly n: number
  readonly account: number
}

const filling = 'x'.repeat(80)

export class Account extends Actor {
  note = ''
  entries = 0

  receive({ n }: Entry, ctx: Context<{ n: number; account: string; entries: number }>) {
    this.note = filling
    this.entries++
    if (n % 1000 === 0) ctx.emit({ n, account: ctx.key, entries: this.entries })
  }
}

const partitions = 8
const byClass = ACCOUNTS === '' ? [] : (JSON.parse(readFileSync(ACCOUNTS, 'utf8')) as number[][])

/** Every second one of the partition's own class, the others of the two beside it. */
function chosen(i: number, partition: number): number {
  const away = i % 2 === 0 ? 0 : i % 4 === 1 ? 1 : 3
  const accounts = byClass[(partition + away) % byClass.length] ?? []
  return accounts[(i >> 2) % accounts.length] ?? 0
}

export default job(
  'figures',
  j => {
    const made = (i: number, partition: number): Entry => {
      const n = i * partitions + partition
      return { n, account: byClass.length > 0 ? chosen(i, partition) : n % Number(KEYS) }
    }
    const count = (events: string): number => Math.ceil(Number(events) / partitions)
    const pace = RATE === '' ? {} : { perSecond: Number(RATE) }
    const entries = j.source('entries', generator<Entry>({ count: count(EVENTS), partitions, ...pace }, made))
    const first = RATE === '' ? [] : [j.source('first', generator<Entry>({ count: count(KEYS), partitions }, made))]
    return {
      out: entries
        .union(...first)
        .keyBy(each => `a${each.account}`)
        .actor(Account)
        .to('out', files('out', json()))
    }
  },
  { slots: 24, interval: INTERVAL as '500ms', store: (process.env['STORE'] ?? 'memory') as 'memory' }
)
