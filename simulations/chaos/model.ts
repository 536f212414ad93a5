/**
 * What a chaos run must come to, counted without the runtime: a second, naive implementation of `job.ts`. It shares nothing with it but
 * the input.
 */
import { accounts, commandsOf, ledgers, partitions, type Commands } from './commands.ts'

export interface ExpectedAccount {
  /** In order. */
  readonly entries: { readonly id: string; readonly amount: number }[]
  /** In the order in which their timers fire. */
  readonly released: { readonly id: string; readonly amount: number; readonly at: number }[]
}

export interface Expected {
  readonly accounts: ReadonlyMap<string, ExpectedAccount>
  /** By ledger: `<id>/<hop>` and amount of all that it books; in which order is not said. */
  readonly ledgers: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** `<region>/<start>`: what its row says. */
  readonly windows: ReadonlyMap<string, { readonly count: number; readonly sum: number }>
  readonly states: {
    readonly Account: ReadonlyMap<string, Readonly<Record<string, number>>>
    readonly Ledger: ReadonlyMap<string, Readonly<Record<string, number>>>
  }
  readonly events: number
}

const windowMs = 5_000

export function expected(commands: Commands): Expected {
  const made = new Map<string, ExpectedAccount>()
  const books = new Map<string, Map<string, number>>()
  const windows = new Map<string, { count: number; sum: number }>()
  let events = 0
  for (let partition = 0; partition < partitions; partition++)
    for (const { id, account, to, amount, hops, hold, at } of commandsOf(commands, partition)) {
      events++
      let own = made.get(account)
      if (own === undefined) made.set(account, (own = { entries: [], released: [] }))
      own.entries.push({ id, amount })
      if (hold) own.released.push({ id, amount, at })
      let ledger = Number(to.slice(1))
      for (let hop = 0; hop <= hops; hop++) {
        let book = books.get(`l${ledger}`)
        if (book === undefined) books.set(`l${ledger}`, (book = new Map<string, number>()))
        book.set(`${id}/${hop}`, amount)
        ledger = (7 * ledger + 11) % ledgers
      }
      const window = `${Number(account.slice(1)) % 10}/${at - (at % windowMs)}`
      let row = windows.get(window)
      if (row === undefined) windows.set(window, (row = { count: 0, sum: 0 }))
      row.count++
      row.sum += amount
    }
  for (const { released } of made.values()) released.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
  return { accounts: made, ledgers: books, windows, states: states(made, books), events }
}

const sumOf = (list: Iterable<number>): number => {
  let sum = 0
  for (const each of list) sum += each
  return sum
}

function states(
  made: ReadonlyMap<string, ExpectedAccount>,
  books: ReadonlyMap<string, ReadonlyMap<string, number>>
): Expected['states'] {
  const ofAccounts = new Map<string, Record<string, number>>()
  const ofLedgers = new Map<string, Record<string, number>>()
  for (let n = 0; n < accounts; n++) {
    const own = made.get(`a${n}`)
    if (own === undefined) continue
    const spent = sumOf(own.entries.map(({ amount }) => amount))
    const released = sumOf(own.released.map(({ amount }) => amount))
    const commands = own.entries.length
    // Every command comes back as one receipt.
    ofAccounts.set(`a${n}`, { commands, spent, receipts: commands, confirmed: spent, released })
  }
  for (const [ledger, book] of books) ofLedgers.set(ledger, { transfers: book.size, received: sumOf(book.values()) })
  return { Account: ofAccounts, Ledger: ofLedgers }
}
