/** What breaks exactly-once is caught by random schedules: each mistake is one that a good engineer could make. */
import t from 'tap'
import type { KafkaPublisher } from '../../../runtime/adapters/kafka/kafka-publisher.ts'
import type { Prng } from '../../../runtime/kernel/prng.ts'
import type { BrokerFault } from '../../../simulations/broker/faults.ts'
import { planted, type Change } from '../../support/planted.ts'
import { makingPublisher, runOwners } from './owners.ts'

const filter = 'runtime/kafka-protocol/read-committed.js'
const machine = 'runtime/kafka-protocol/transaction-machine.js'
const publisher = 'runtime/adapters/kafka/kafka-publisher.js'

t.setTimeout(600_000)

interface Mistake {
  readonly changes: readonly Change[]
  readonly version?: 1 | 2
  readonly faults?: (random: Prng) => BrokerFault
}

const lateEnds = (random: Prng): BrokerFault =>
  random.int(2) === 0
    ? { kind: 'late-request', request: 'EndTxn', rate: 0.7, delayMs: 300 + random.int(900) }
    : { kind: 'slow', request: 'Produce', rate: 0.5, delayMs: 50 + random.int(200) }

const mistakes: Readonly<Record<string, Mistake>> = {
  'an unknown outcome taken for failure': {
    changes: [
      [
        machine,
        'return (this.dead = failureOf(yield* this.whyUnmapped(error, now)));',
        `const failure = failureOf(error)
         if (failure.kind === 'fenced') return (this.dead = failure)
         const { now: later } = yield { kind: 'wait', ms: 50 }
         try {
           yield* this.initialiseAs(-1, -1, later + 3000)
         } catch {
           return (this.dead = failure)
         }
         return yield* this.publish(records, entry, later)`
      ]
    ]
  },
  'the ledger read without read committed': {
    changes: [
      [filter, 'if (batch.transactional && skipped.has(batch.producerId))', 'if (false)'],
      [machine, 'isolationLevel: readCommittedOnly', 'isolationLevel: readUncommitted']
    ]
  },
  'aborted transactions not left out': {
    changes: [[filter, 'if (batch.transactional && skipped.has(batch.producerId))', 'if (false)']]
  },
  'the end of the ledger taken from the last stable offset': {
    changes: [[machine, 'isolationLevel: readUncommitted,', 'isolationLevel: readCommittedOnly,']]
  },
  'a fetch that brings nothing taken for the end': {
    changes: [[machine, "reached('kafka: waits for the ledger to become stable');", 'break;']]
  },
  'the ledger read before the fence': {
    changes: [
      [
        machine,
        'yield* this.initialiseAs(-1, -1',
        'this.early = [yield* this.readLedger(now)]; yield* this.initialiseAs(-1, -1'
      ],
      [
        machine,
        '*readLedger(now) {',
        '*readLedger(now) { if (this.early) { const [value] = this.early; this.early = undefined; return value }'
      ]
    ]
  },
  'the ledger not read again by the next owner of a process': {
    changes: [
      [machine, 'export class SlotTransactions {', 'const read = new WeakMap(); export class SlotTransactions {'],
      [
        machine,
        'this.ledgerNext = next;',
        `const all = read.get(this.options.view) ?? new Map(); read.set(this.options.view, all)
         if (all.has(this.options.transactionalId)) return all.get(this.options.transactionalId)
         all.set(this.options.transactionalId, this.ledgerValue)`
      ],
      [
        machine,
        "return { kind: 'published' };",
        "read.get(this.options.view)?.set(this.options.transactionalId, entry.value); return { kind: 'published' };"
      ]
    ]
  },
  'the end of a transaction asked for again, version 1': {
    version: 1,
    // Rare: a late end must fall between two writes of the next transaction.
    faults: lateEnds,
    changes: [
      [
        machine,
        "const answer = yield* this.askCoordinator('EndTxn', { ...this.identity(), committed }, maxVersion);",
        `let answer
         for (let i = 0; ; i++)
           try {
             answer = yield* this.askCoordinator('EndTxn', { ...this.identity(), committed }, maxVersion)
             break
           } catch (error) {
             if (i === 3) throw error
             yield* this.findCoordinator()
           }`
      ],
      [machine, 'if (this.version === 1 && this.used)', "if (this.used) yield { kind: 'wait', ms: 250 }; if (false)"],
      [machine, 'let baseSequence = 0;', 'let baseSequence = this.sequence(topic + partition, list.length);'],
      [machine, 'baseSequence: 0 });', "baseSequence: this.sequence('ledger', 1) });"],
      [
        machine,
        '    identity() {',
        `sequence(where, count) {
           this.sequences ??= new Map()
           const first = this.sequences.get(where) ?? 0
           this.sequences.set(where, first + count)
           return first
         }
         identity() {`
      ]
    ]
  },
  'the entry in a transaction of its own': {
    changes: [
      [
        machine,
        'const refused = yield* this.write(this.roundsOf(records, entry), now);',
        `if (records.length > 0) {
           yield* this.write(this.roundsOf(records, undefined), now)
           yield* this.end(true)
           if (this.version === 1) yield* this.renew(now)
         }
         const refused = yield* this.write(this.roundsOf([], entry), now);`
      ],
      [
        machine,
        'const bytes = encodeBatch([{ ...entry',
        'if (entry === undefined) return rounds; const bytes = encodeBatch([{ ...entry'
      ]
    ]
  },
  'a transactional id for each owner instead of each slot': {
    changes: [
      [publisher, 'transactionalId: slotKey(slot)', "transactionalId: slotKey(slot) + '@' + this.client.time()"],
      [machine, 'encode(options.transactionalId)', "encode(options.transactionalId.split('@')[0])"]
    ]
  },
  'a write refused as busy taken for written': {
    version: 2,
    changes: [[machine, 'left = busy.map(({ batch }) => batch);', 'left = [];']]
  },
  'a lost write taken for written': {
    changes: [[machine, 'throw lost;', 'break;']]
  }
}

for (const [name, { changes, version, faults }] of Object.entries(mistakes))
  void t.test(`caught: ${name}`, { timeout: 600_000 }, async t => {
    const module = await planted(t, changes)<{ KafkaPublisher: typeof KafkaPublisher }>(publisher)
    const make = makingPublisher(module.KafkaPublisher)
    const most = Number(process.env['SEEDS'] ?? 400)
    for (let seed = 1; seed <= most; seed++) {
      const { wrong } = await runOwners(seed, make, { version, faults })
      if (wrong === undefined) continue
      t.pass(`seed ${seed}: ${wrong}`)
      return
    }
    t.fail('not caught')
  })
