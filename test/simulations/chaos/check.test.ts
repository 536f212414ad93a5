/** The checker of the chaos runs: right output passes, and each thing that can be wrong with it is noticed. */
import t from 'tap'
import { checkAccounts, checkLedgers, checkStates, type Line } from '../../../simulations/chaos/check.ts'
import { partitions, type Commands } from '../../../simulations/chaos/commands.ts'
import { expected } from '../../../simulations/chaos/model.ts'

const commands: Commands = { seed: 3, perPartition: 300, spanMs: 20_000 }
const model = expected(commands)

/** What the job would write, from the model. */
function accountLines(): Line[] {
  return [...model.accounts].flatMap(([account, { entries, released }]) => {
    let spent = 0
    return [
      ...entries.map(({ id, amount }, i) => ({
        kind: 'entry',
        id,
        account,
        n: i + 1,
        spent: (spent += amount),
        amount
      })),
      ...released.map(({ id, amount }) => ({ kind: 'released', id, account, amount }))
    ]
  })
}

function ledgerLines(): Line[] {
  const booked = [...model.ledgers].flatMap(([ledger, book]) => {
    let n = 0
    let received = 0
    return [...book].map(([transfer, amount]) => {
      const [id, hop] = transfer.split('/')
      received += amount
      // One sender for all: the order that the model has them in is as good as any.
      return { kind: 'booked', id, hop: Number(hop), amount, via: 'a1', sequence: ++n, ledger, n, received }
    })
  })
  const rows = [...model.windows].map(([key, row]) => {
    const [region, start] = key.split('/').map(Number)
    return { key: region, start, ...row }
  })
  return [...booked, ...rows]
}

const change = (lines: readonly Line[], at: number, line: Line): Line[] =>
  lines.map((each, i) => (i === at ? line : each))
const without = (lines: readonly Line[], at: number): Line[] => lines.filter((_, i) => i !== at)
const doubled = (lines: readonly Line[], at: number): Line[] =>
  lines.flatMap((each, i) => (i === at ? [each, each] : [each]))
function swapped(lines: readonly Line[], at: number): Line[] {
  const list = [...lines]
  ;[list[at], list[at + 1]] = [list[at + 1] as Line, list[at] as Line]
  return list
}

void t.test('what the model says passes', t => {
  t.equal(model.events, partitions * 300)
  t.same(checkAccounts(accountLines(), model), [])
  t.same(checkLedgers(ledgerLines(), model), [])
  t.end()
})

void t.test('of an account, a line lost, doubled, swapped, changed or made up is noticed', t => {
  const lines = accountLines()
  const release = lines.findIndex(({ kind }, i) => kind === 'released' && lines[i + 1]?.['kind'] === kind)
  for (const at of [0, 1, lines.findIndex(({ kind }) => kind === 'released')]) {
    t.not(checkAccounts(without(lines, at), model).length, 0, `lost: line ${at}`)
    t.not(checkAccounts(doubled(lines, at), model).length, 0, `doubled: line ${at}`)
  }
  t.match(checkAccounts(swapped(lines, 0), model), [/entry 1 of a\d+ should be/])
  t.match(checkAccounts(swapped(lines, release), model), [/release 1 of a\d+ should be/])
  t.match(checkAccounts(change(lines, 4, { ...lines[4], spent: 1 }), model), [/entry 5 of/])
  t.match(checkAccounts([...lines, { kind: 'entry', account: 'nobody' }], model), [/nothing is expected of/])
  // The last entry of an account, of which nothing after tells.
  const last = lines.findIndex((line, i) => line['kind'] === 'entry' && lines[i + 1]?.['kind'] !== 'entry')
  t.match(checkAccounts(without(lines, last), model), [/has \d+ entries, not \d+/])
  t.end()
})

void t.test('of a ledger, a booking lost, doubled, out of order or of another amount is noticed', t => {
  const lines = ledgerLines()
  t.match(checkLedgers(without(lines, 0), model).join('\n'), /never booked 1 transfers/)
  t.match(checkLedgers(doubled(lines, 0), model).join('\n'), /booked p\S+ twice/)
  t.match(checkLedgers(swapped(lines, 0), model).join('\n'), /out of the order of a1/)
  t.match(checkLedgers(change(lines, 0, { ...lines[0], amount: -1 }), model).join('\n'), /the amount should be/)
  t.match(checkLedgers(change(lines, 1, { ...lines[1], n: 7 }), model).join('\n'), /booking 2 of/)
  t.match(checkLedgers(change(lines, 0, { ...lines[0], id: 'p9-9' }), model).join('\n'), /nobody sent/)
  t.end()
})

void t.test('a window that is missing, fired twice, or counted wrongly is noticed', t => {
  const lines = ledgerLines()
  const at = lines.findIndex(line => 'start' in line)
  t.match(checkLedgers(without(lines, at), model), [/there is no row of window/])
  t.match(checkLedgers(doubled(lines, at), model), [/fired twice/])
  t.match(checkLedgers(change(lines, at, { ...lines[at], sum: 1 }), model), [/should be \{"count"/])
  t.match(checkLedgers([...lines, { key: 77, start: 0 }], model), [/no such row is expected/])
  t.end()
})

void t.test('state that is not what the model says is noticed, and so is a timer that never fired', async t => {
  const right = async (actor: string, key: string): Promise<Record<string, unknown>> => ({
    ...model.states[actor as 'Account' | 'Ledger'].get(key)
  })
  t.same(await checkStates(right, model), [])
  const wrong = (name: string, value: unknown) => async (actor: string, key: string) => ({
    ...(await right(actor, key)),
    ...(key === 'a7' ? { [name]: value } : {})
  })
  t.match(await checkStates(wrong('receipts', 1), model), [/Account "a7".receipts should be \d+, and is 1/])
  t.match(await checkStates(wrong('held', new Map([['p1-1', 5]])), model), [/"a7" still holds p1-1/])
  const gone = (actor: string, key: string) => (key === 'l3' ? Promise.resolve(undefined) : right(actor, key))
  t.match(await checkStates(gone, model), [/Ledger "l3".transfers/, /Ledger "l3".received/])
})

void t.test('of many findings of a kind only some are told, and how many more there are', t => {
  const findings = checkAccounts([], model)
  t.equal(findings.length, 6)
  t.match(findings.at(-1), /lost: \d+ more/)
  t.end()
})
