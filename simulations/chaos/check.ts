/** Compares what a run put out, and the state it left, with what the model says. Each finding is one sentence; [] means all is right. */
import type { Expected } from './model.ts'

/** A line of a sink's files, as `job.ts` writes it. */
export type Line = Readonly<Record<string, unknown>>

/** More of one kind say no more, and would hide the others. */
const findingsOfAKind = 5

class Findings {
  readonly said: string[] = []
  private readonly counts = new Map<string, number>()

  add(kind: string, finding: string): void {
    const count = (this.counts.get(kind) ?? 0) + 1
    this.counts.set(kind, count)
    if (count <= findingsOfAKind) this.said.push(finding)
  }
  done(): string[] {
    for (const [kind, count] of this.counts)
      if (count > findingsOfAKind) this.said.push(`${kind}: ${count - findingsOfAKind} more`)
    return this.said
  }
}

/** Sink "accounts": of each account all entries and all releases, in order. */
export function checkAccounts(lines: Iterable<Line>, { accounts }: Pick<Expected, 'accounts'>): string[] {
  const findings = new Findings()
  const at = new Map([...accounts.keys()].map(key => [key, { entries: 0, released: 0, spent: 0 }]))
  for (const line of lines) {
    const account = String(line['account'])
    const place = at.get(account)
    const expected = accounts.get(account)
    if (place === undefined || expected === undefined) {
      findings.add('strangers', `accounts: nothing is expected of account "${account}": ${JSON.stringify(line)}`)
      continue
    }
    if (line['kind'] === 'released') {
      const next = expected.released[place.released++]
      if (next === undefined || line['id'] !== next.id || line['amount'] !== next.amount)
        findings.add('releases', differs(`release ${place.released} of ${account}`, next, line))
      continue
    }
    const next = expected.entries[place.entries++]
    place.spent += next?.amount ?? 0
    const right = line['id'] === next?.id && line['amount'] === next?.amount
    if (!right || line['n'] !== place.entries || line['spent'] !== place.spent || line['kind'] !== 'entry')
      findings.add('entries', differs(`entry ${place.entries} of ${account}`, next, line))
  }
  for (const [account, { entries, released }] of at) {
    const expected = accounts.get(account)
    if (expected === undefined) continue
    if (entries < expected.entries.length)
      findings.add('lost', `accounts: ${account} has ${entries} entries, not ${expected.entries.length}`)
    if (released < expected.released.length)
      findings.add('lost', `accounts: ${account} has ${released} releases, not ${expected.released.length}`)
  }
  return findings.done()
}

const differs = (what: string, expected: unknown, line: Line): string =>
  `accounts: ${what} should be ${JSON.stringify(expected) ?? 'none'}, and is ${JSON.stringify(line)}`

/**
 * Sink "ledgers": every booking once, numbered without a gap in the order of the output, with the sum of all before it, those of one
 * sender in the order in which it sent them; every window once.
 */
export function checkLedgers(lines: Iterable<Line>, expected: Pick<Expected, 'ledgers' | 'windows'>): string[] {
  const findings = new Findings()
  const books = new Map<string, { n: number; received: number; seen: Set<string>; senders: Map<unknown, number> }>()
  const windows = new Set<string>()
  for (const line of lines) {
    if (line['kind'] !== 'booked') {
      window(line, expected.windows, windows, findings)
      continue
    }
    const ledger = String(line['ledger'])
    const transfer = `${String(line['id'])}/${String(line['hop'])}`
    const amount = expected.ledgers.get(ledger)?.get(transfer)
    let book = books.get(ledger)
    if (book === undefined)
      books.set(ledger, (book = { n: 0, received: 0, seen: new Set(), senders: new Map<unknown, number>() }))
    const text = (): string => JSON.stringify(line)
    if (amount === undefined) findings.add('strangers', `ledgers: nobody sent ${ledger} what it booked: ${text()}`)
    else if (amount !== line['amount']) findings.add('amounts', `ledgers: the amount should be ${amount}: ${text()}`)
    if (book.seen.has(transfer)) findings.add('doubled', `ledgers: ${ledger} booked ${transfer} twice: ${text()}`)
    book.seen.add(transfer)
    book.n++
    book.received += Number(line['amount'])
    if (line['n'] !== book.n || line['received'] !== book.received)
      findings.add('counts', `ledgers: booking ${book.n} of ${ledger}, with ${book.received} received, says ${text()}`)
    const sequence = Number(line['sequence'])
    if (sequence <= (book.senders.get(line['via']) ?? 0))
      findings.add('order', `ledgers: ${ledger} booked out of the order of ${String(line['via'])}: ${text()}`)
    book.senders.set(line['via'], sequence)
  }
  for (const [ledger, all] of expected.ledgers) {
    const seen = books.get(ledger)?.seen
    const lost = [...all.keys()].filter(transfer => seen?.has(transfer) !== true)
    if (lost.length > 0)
      findings.add('lost', `ledgers: ${ledger} never booked ${lost.length} transfers: ${lost.slice(0, 5).join(', ')}`)
  }
  for (const key of expected.windows.keys())
    if (!windows.has(key)) findings.add('lost windows', `ledgers: there is no row of window ${key}`)
  return findings.done()
}

function window(line: Line, expected: Expected['windows'], seen: Set<string>, findings: Findings): void {
  const key = `${String(line['key'])}/${String(line['start'])}`
  const row = expected.get(key)
  if (row === undefined) findings.add('strangers', `ledgers: no such row is expected: ${JSON.stringify(line)}`)
  else if (seen.has(key)) findings.add('doubled', `ledgers: window ${key} fired twice: ${JSON.stringify(line)}`)
  else if (line['count'] !== row.count || line['sum'] !== row.sum)
    findings.add('windows', `ledgers: window ${key} should be ${JSON.stringify(row)}, and is ${JSON.stringify(line)}`)
  seen.add(key)
}

/** Fields of an actor, as stored; undefined: there is no such key. */
export type StateOf = (actor: string, key: string) => Promise<Readonly<Record<string, unknown>> | undefined>

export async function checkStates(stateOf: StateOf, { states }: Pick<Expected, 'states'>): Promise<string[]> {
  const findings = new Findings()
  for (const [actor, keys] of Object.entries(states))
    for (const [key, fields] of keys) {
      const found = await stateOf(actor, key)
      const wrong = Object.entries(fields).filter(([name, value]) => found?.[name] !== value)
      for (const [name, value] of wrong)
        findings.add('state', `state: ${actor} "${key}".${name} should be ${value}, and is ${String(found?.[name])}`)
      const held = found?.['held']
      if (held instanceof Map && held.size > 0)
        findings.add('held', `state: ${actor} "${key}" still holds ${[...held.keys()].join(', ')}`)
    }
  return findings.done()
}
