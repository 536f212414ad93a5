/** What judges a run against Kafka notices each thing that can be wrong with the output. */
import t from 'tap'
import { transferOf, wrongWith, type Entry } from '../../../../simulations/chaos/kafka/transfers.ts'

const seed = 3
const events = 300
const ids = Array.from({ length: events }, (_, id) => id)

/** What a right job puts out. */
function right(): Entry[] {
  const balances = new Map<string, number>()
  return Array.from({ length: events }, (_, id) => transferOf(seed, id)).flatMap(({ id, from, to, amount }) =>
    (
      [
        ['from', from, -amount],
        ['to', to, amount]
      ] as const
    ).map(([side, account, change]): Entry => {
      const balance = (balances.get(`${side} ${account}`) ?? 0) + change
      balances.set(`${side} ${account}`, balance)
      return { id, side, account, balance }
    })
  )
}

const change = (at: number, how: (entry: Entry) => Entry[]): Entry[] =>
  right().flatMap((entry, i) => (i === at ? how(entry) : [entry]))

void t.test('the right output is right; transfers are the same each time', t => {
  t.same(wrongWith(seed, ids, right()), [])
  t.same(transferOf(seed, 7), transferOf(seed, 7))
  t.notSame(transferOf(seed, 7), { ...transferOf(seed + 1, 7) })
  t.end()
})

void t.test('twice, missing, invented, of another account, with another balance, out of order', t => {
  t.match(
    wrongWith(
      seed,
      ids,
      change(20, entry => [entry, entry])
    ).join(),
    /transfer 10, side from, came twice/
  )
  t.match(
    wrongWith(
      seed,
      ids,
      change(21, () => [])
    ).join(),
    /transfer 10, side to, is missing, with 0 more/
  )
  t.match(
    wrongWith(
      seed,
      ids,
      change(20, entry => [entry, { ...entry, id: events }])
    ).join(),
    /nobody sent/
  )
  t.match(
    wrongWith(
      seed,
      ids,
      change(20, entry => [{ ...entry, account: 'x' }])
    ).join(),
    /is of account a\d+, not x/
  )
  t.match(
    wrongWith(
      seed,
      ids,
      change(20, entry => [{ ...entry, balance: entry.balance + 1 }])
    ).join(),
    /transfer 10, side from: the balance of a\d+ is -?\d+, not/
  )
  const one = right().findIndex(({ side }, i, all) => side === 'from' && i > 100 && all[i]?.account === all[0]?.account)
  const swapped = right()
  const [first, later] = [swapped[0] as Entry, swapped[one] as Entry]
  swapped[0] = later
  swapped[one] = first
  t.match(wrongWith(seed, ids, swapped).join(), /came after/)
  t.equal(wrongWith(seed, ids, []).length, 2)
  t.equal(
    wrongWith(
      seed,
      ids,
      Array.from({ length: 90 }, () => right()[0] as Entry)
    ).length,
    20,
    'some sentences'
  )
  t.end()
})
