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

export const jobText = (from: string, to: string, name = 'transfers', interval = '500ms'): string => `
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
 export default job('${name}', j => {
  const transfers = j.source('transfers', kafka({ topic: '${from}', value: json() }))
  const sent = transfers.keyBy(each => each.from).actor(Account, { sends: [Inbox] })
  return { sent: sent.to('sent', out), received: j.actor(Inbox).to('received', out) }
}, { slots: 4, interval: '${interval}' })
`

/**
 * What is wrong with the output; at most some sentences. `ids`: the transfers in the input, each once, in its order; `entries`: in the order of each
 * partition, an account is in one partition.
 */
export function wrongWith(seed: number, ids: Iterable<number>, entries: Iterable<Entry>): string[] {
  const wrong: string[] = []
  const tell = (text: string): void => void (wrong.length < 20 && wrong.push(text))
  const sent = new Map([...ids].map((id, place) => [id, place]))
  const seen = { from: new Set<number>(), to: new Set<number>() }
  const balances = new Map<string, number>()
  const newest = new Map<string, number>()
  for (const { id, side, account, balance } of entries) {
    const place = sent.get(id)
    if (place === undefined) {
      tell(`nobody sent transfer ${id}`)
      continue
    }
    if (seen[side].has(id)) tell(`transfer ${id}, side ${side}, came twice`)
    seen[side].add(id)
    const transfer = transferOf(seed, id)
    if (transfer[side] !== account)
      tell(`transfer ${id}, side ${side}, is of account ${transfer[side]}, not ${account}`)
    const next = (balances.get(`${side} ${account}`) ?? 0) + (side === 'from' ? -transfer.amount : transfer.amount)
    balances.set(`${side} ${account}`, next)
    if (balance !== next) tell(`transfer ${id}, side ${side}: the balance of ${account} is ${balance}, not ${next}`)
    // An account's transfers keep their order, and at the other side those of one sender do.
    const line = side === 'from' ? `from ${account}` : `to ${account} ${transfer.from}`
    if (place < (newest.get(line) ?? -1)) tell(`transfer ${id}, side ${side}, came after a later one`)
    newest.set(line, place)
  }
  for (const side of ['from', 'to'] as const) {
    const missing = [...sent.keys()].filter(id => !seen[side].has(id))
    if (missing.length > 0) tell(`transfer ${missing[0]}, side ${side}, is missing, with ${missing.length - 1} more`)
  }
  return wrong
}
