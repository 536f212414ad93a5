/**
 * The job whose process is killed, copied to where it runs: all documents are made first, as fast as can be, which is put out at last;
 * meanwhile and then so many events come a second, over all of them.
 */
import { files, generator, job, json, type Context, type Duration } from 'cairn'
import { chooseTextBytes, Document } from '../document.ts'

const { KEYS = '1000', TEXT = '0', STORE = 'level', INTERVAL = '1s', RATE = '1' } = process.env
const keys = Number(KEYS)
const perSecond = Number(RATE)
chooseTextBytes(Number(TEXT))

interface Entry {
  readonly account: string
  readonly amount: number
  readonly kind: 'first' | 'last' | 'later'
}

export interface Row {
  readonly kind: Entry['kind']
}

export class Account extends Document {
  receive(entry: Entry, ctx: Context<Row>): void {
    this.add(entry)
    if (entry.kind === 'last' || (entry.kind === 'later' && entry.amount % 10 === 0)) ctx.emit({ kind: entry.kind })
  }
}

const entry = (i: number, kind: Entry['kind']): Entry => ({ account: `acc-${i}`, amount: i % 1000, kind })

export default job(
  'documents',
  j => {
    const first = generator<Entry>({ count: keys }, i => entry(i, i === keys - 1 ? 'last' : 'first'))
    // In an order that has nothing to do with that of the numbers.
    const later = generator<Entry>({ count: Number.MAX_SAFE_INTEGER, perSecond }, i =>
      entry((i * 7919) % keys, 'later')
    )
    return {
      out: j
        .source('first', first)
        .union(j.source('later', later))
        .keyBy(each => each.account)
        .actor(Account)
        .to('out', files('out', json<Row>()))
    }
  },
  { interval: INTERVAL as Duration, store: STORE as 'level' }
)
