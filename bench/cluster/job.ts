/** The job of the cluster benchmark, copied to where it runs: accounts of 100 bytes or more, in the order of their numbers, then all over again. */
import { Actor, files, generator, job, json, type Context } from 'cairn'

const { EVENTS = '1000000', KEYS = '10000', INTERVAL = '500ms' } = process.env

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

export default job(
  'figures',
  j => {
    const made = (i: number, partition: number): Entry => {
      const n = i * partitions + partition
      return { n, account: n % Number(KEYS) }
    }
    const entries = j.source(
      'entries',
      generator<Entry>({ count: Math.ceil(Number(EVENTS) / partitions), partitions }, made)
    )
    return {
      out: entries
        .keyBy(each => `a${each.account}`)
        .actor(Account)
        .to('out', files('out', json()))
    }
  },
  { slots: 24, interval: INTERVAL as '500ms', store: (process.env['STORE'] ?? 'memory') as 'memory' }
)
