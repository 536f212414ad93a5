/**
 * The job of a run against Kafka, its input, and what must come out. Transfer n is a pure function of (seed, n); every account has a running
 * balance of what it gives and one of what it gets, with an exchange in between.
 */
import { Prng } from '../../../runtime/kernel/prng.ts'

export const accounts = 200

export interface Transfer {
  readonly id: number
  readonly from: string
  readonly to: string
  readonly amount: number
}

export interface Entry {
  readonly id: number
  readonly side: 'from' | 'to'
  readonly account: string
  readonly balance: number
}

export function transferOf(seed: number, id: number): Transfer {
  const random = new Prng(`transfer ${seed} ${id}`)
  return { id, from: `a${random.int(accounts)}`, to: `a${random.int(accounts)}`, amount: 1 + random.int(100) }
}

export const jobText = (from: string, to: string): string => `
import { Actor, job, json, kafka } from 'cairn'

class Account extends Actor {
  static actorName = 'Account'
  balance = 0
  receive(transfer, ctx) {
    this.balance -= transfer.amount
    ctx.send(Inbox, transfer.to, transfer)
    ctx.emit({ id: transfer.id, side: 'from', account: ctx.key, balance: this.balance })
  }
}
class Inbox extends Actor {
  static actorName = 'Inbox'
  received = 0
  receive(transfer, ctx) {
    this.received += transfer.amount
    ctx.emit({ id: transfer.id, side: 'to', account: ctx.key, balance: this.received })
  }
}
const out = kafka({ topic: '${to}', value: json(), key: entry => entry.account })
export default job('transfers', j => {
  const transfers = j.source('transfers', kafka({ topic: '${from}', value: json() }))
  const sent = transfers.keyBy(each => each.from).actor(Account, { sends: [Inbox] })
  return { sent: sent.to('sent', out), received: j.actor(Inbox).to('received', out) }
}, { slots: 4, interval: '500ms' })
`

/** What is wrong with the output; at most some sentences. `entries`: in the order of each partition, an account is in one partition. */
export function wrongWith(seed: number, events: number, entries: Iterable<Entry>): string[] {
  const wrong: string[] = []
  const tell = (text: string): void => void (wrong.length < 20 && wrong.push(text))
  const seen = { from: new Uint8Array(events), to: new Uint8Array(events) }
  const balances = new Map<string, number>()
  const newest = new Map<string, number>()
  for (const { id, side, account, balance } of entries) {
    if (!(id >= 0 && id < events)) {
      tell(`nobody sent transfer ${id}`)
      continue
    }
    if (seen[side][id] === 1) tell(`transfer ${id}, side ${side}, came twice`)
    seen[side][id] = 1
    const transfer = transferOf(seed, id)
    if (transfer[side] !== account)
      tell(`transfer ${id}, side ${side}, is of account ${transfer[side]}, not ${account}`)
    const next = (balances.get(`${side} ${account}`) ?? 0) + (side === 'from' ? -transfer.amount : transfer.amount)
    balances.set(`${side} ${account}`, next)
    if (balance !== next) tell(`transfer ${id}, side ${side}: the balance of ${account} is ${balance}, not ${next}`)
    // An account's transfers keep their order, and at the other side those of one sender do.
    const line = side === 'from' ? `from ${account}` : `to ${account} ${transfer.from}`
    if (id < (newest.get(line) ?? -1)) tell(`transfer ${id}, side ${side}, came after ${newest.get(line)}`)
    newest.set(line, id)
  }
  for (const side of ['from', 'to'] as const) {
    const missing = seen[side].indexOf(0)
    if (missing >= 0)
      tell(
        `transfer ${missing}, side ${side}, is missing, with ${seen[side].filter(each => each === 0).length - 1} more`
      )
  }
  return wrong
}
