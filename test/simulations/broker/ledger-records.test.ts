/** The checkers' reading of the ledger topic against what the publisher writes there. */
import fc from 'fast-check'
import t from 'tap'
import { encodeEntry } from '../../../runtime/adapters/kafka/ledger-records.ts'
import { readLedgerRecord } from '../../../simulations/broker/ledger-records.ts'

const count = fc.maxSafeNat()
const text = fc.string({ unit: 'binary' })
const entry = fc.record(
  { epoch: count, chunk: count, last: fc.boolean(), generation: count, manifestHash: text, owner: text },
  { noNullPrototype: true }
)

void t.test('it reads every entry that the publisher writes', t => {
  fc.assert(
    fc.property(entry, each => void t.strictSame(readLedgerRecord(encodeEntry(each)), each)),
    { numRuns: 300 }
  )
  t.end()
})

void t.test('it refuses what is no entry', t => {
  for (const line of [
    '',
    'null',
    '[1,2,0,true,1,"hash"]',
    '[2,2,0,true,1,"hash","owner"]',
    '[1,2,0,1,1,"hash","owner"]',
    '[1,-2,0,true,1,"hash","owner"]',
    '[1,2,0,true,1,"hash","owner",3]',
    '[1,2,0,true,1,"hash","owner"] '
  ])
    t.throws(() => readLedgerRecord(new TextEncoder().encode(line)), /the ledger holds/, line)
  t.end()
})
