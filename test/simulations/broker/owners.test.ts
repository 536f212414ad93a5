/** Exactly once under random schedules of owners, crashes and late requests; and what breaks it is caught. */
import t from 'tap'
import { BrokerClient } from '../../../simulations/broker/broker-client.ts'
import { BrokerPublisher } from '../../../simulations/broker/broker-publisher.ts'
import { plantedModule, type Planted } from '../../support/planted-module.ts'
import { runOwners, type MakePublisher } from './owners.ts'

const making =
  (Publisher: typeof BrokerPublisher): MakePublisher =>
  ({ cluster, transactionVersion }, process) =>
    new Publisher(new BrokerClient(cluster, process.clock, callback => process.deliver(callback, 'reply'), 300), {
      topic: 'out',
      ledgerTopic: 'ledger',
      transactionVersion,
      transactionTimeoutMs: 1500,
      initialiseMs: 3000
    })

void t.test('every record is there exactly once, with its entry', async t => {
  const hits = new Map<string, number>()
  let events = 0
  const count = Number(process.env['SEEDS'] ?? 1000)
  const first = Number(process.env['SEED'] ?? 1)
  for (let seed = first; seed < first + count; seed++) {
    const result = await runOwners(seed, making(BrokerPublisher))
    events += result.events
    for (const [kind, n] of result.hits) hits.set(kind, (hits.get(kind) ?? 0) + n)
    if (result.wrong !== undefined) t.fail(`seed ${seed}: ${result.wrong}`)
  }
  t.comment(`${events} events; ${[...hits].map(([kind, n]) => `${kind} ${n}`).join(', ')}`)
})

const publisher = 'simulations/broker/broker-publisher.js'
const filter = 'simulations/broker/read-committed.js'
type Change = Planted['changes'][number]

/** What a good engineer could have written instead. */
const mistakes: Readonly<Record<string, { readonly changes: readonly Change[]; readonly version?: 1 | 2 }>> = {
  'unknown outcome taken for failure': {
    changes: [
      [publisher, "this.dead = { kind: 'unknown', error };", 'this.used = true; this.again = true;'],
      [
        publisher,
        'return this.dead;\n    }\n    refusal',
        'return await this.publish(this.last[0], this.last[1]);\n    }\n    refusal'
      ],
      [
        publisher,
        'return this.failed(error)',
        'this.last = [records, entry]; await this.client.pause(50); await this.renew().catch(() => undefined); return this.failed(error)'
      ],
      [publisher, '    failed(error) {', '    async failed(error) {']
    ]
  },
  'ledger read without read committed': {
    changes: [
      [filter, 'if (batch.transactional && skipping.has(batch.producerId))', 'if (false)'],
      [publisher, 'readCommitted: true', 'readCommitted: false']
    ]
  },
  'ledger end taken from the last stable offset': {
    changes: [[publisher, 'readCommitted: false, at', 'readCommitted: true, at']]
  },
  'ledger read before the fence': {
    changes: [
      [
        publisher,
        'try {\n            const fenced',
        'const early = new BrokerProducer(this.client, this.options, target, ledger, transactionalId, {}); const before = await early.readLedger(); try {\n            const fenced'
      ],
      [
        publisher,
        'return new BrokerProducer(this.client, this.options, target, ledger, transactionalId, identity);',
        'const made = new BrokerProducer(this.client, this.options, target, ledger, transactionalId, identity); made.readLedger = async () => before; return made;'
      ]
    ]
  },
  'a poll that brings nothing taken for the end': {
    changes: [[publisher, "reached('publisher: waits for the ledger to become stable');", 'break;']]
  },
  'entry in a transaction of its own': {
    changes: [
      [
        publisher,
        'await this.write(records, entry);\n            await this.end(true);',
        'if (records.length > 0) { await this.write(records, undefined); await this.end(true); await this.renew() } await this.write([], entry);\n            await this.end(true);'
      ],
      [
        publisher,
        'batch(this.ledger, [ledgerRecord])',
        '...(entry === undefined ? [] : [batch(this.ledger, [ledgerRecord])])'
      ],
      [publisher, 'value: encodeEntry(entry)', 'value: entry && encodeEntry(entry)']
    ]
  },
  'published under a transactional id of the owner': {
    changes: [
      [
        publisher,
        'const transactionalId = slotKey(slot);',
        'const transactionalId = slotKey(slot) + Math.floor(this.client.clock.now());'
      ],
      [
        publisher,
        'const key = new TextEncoder().encode(this.transactionalId)',
        "const key = new TextEncoder().encode(this.transactionalId.split('.').slice(0, 4).join('.') + '.' + this.ledger.partition)"
      ],
      [
        publisher,
        '=== this.transactionalId)',
        "=== this.transactionalId.split('.').slice(0, 4).join('.') + '.' + this.ledger.partition)"
      ]
    ]
  }
}

for (const [name, { changes, version }] of Object.entries(mistakes))
  void t.test(`caught: ${name}`, async t => {
    const module = await plantedModule({ files: [filter, publisher], changes })
    const make = making(module['BrokerPublisher'] as typeof BrokerPublisher)
    for (let seed = 1; seed <= 1500; seed++) {
      const { wrong } = await runOwners(seed, make, version)
      if (wrong === undefined) continue
      t.pass(`seed ${seed}: ${wrong}`)
      return
    }
    t.fail('not caught')
  })
