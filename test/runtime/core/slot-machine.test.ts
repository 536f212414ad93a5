/** The output protocol of one slot against a sink that crashes, loses replies and executes requests late (P1–P5). */
import t from 'tap'
import { SlotMachine, type DecidedChunk, type SlotAction } from '../../../runtime/core/slot-machine.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { LedgerEntry } from '../../../runtime/ports/publisher.ts'

const name = { job: 'j', lineage: 1, sink: 's', stage: 'a', slot: 0 }

/** A sink in which records and entry change together; `planted` breaks a rule. */
class Sink {
  readonly records: string[] = []
  ledger: LedgerEntry | undefined
  private readonly random: Prng
  private readonly planted: 'entry-apart' | 'unknown-is-success' | undefined

  constructor(random: Prng, planted?: 'entry-apart' | 'unknown-is-success') {
    this.random = random
    this.planted = planted
  }

  publish(entry: LedgerEntry, record: string | undefined): 'published' | 'unknown' | 'crash' {
    const fate = this.random.int(6)
    if (fate === 0) return this.planted === 'unknown-is-success' ? 'published' : 'unknown'
    if (record !== undefined) this.records.push(record)
    if (this.planted === 'entry-apart' && fate === 1) return 'crash'
    this.ledger = entry
    return fate === 1 ? 'crash' : fate === 2 ? 'unknown' : 'published'
  }
}

/** Publishes ten decided epochs of two chunks through incarnations that die at any request. */
function scenario(seed: number, planted?: 'entry-apart' | 'unknown-is-success'): readonly string[] {
  const random = new Prng(seed)
  const sink = new Sink(random, planted)
  const decided: DecidedChunk[] = []
  let floor: { epoch: number; chunk: number } | undefined
  for (let generation = 1; generation < 200; generation++) {
    const head = decided.at(-1)?.epoch ?? 0
    const slot = new SlotMachine(name, { floor, head, generation, owner: `o${generation}` })
    slot.decided(head, decided)
    let action: SlotAction | undefined = slot.next()
    let crashed = false
    while (action !== undefined && !crashed) {
      if (random.int(12) === 0) crashed = true
      else if (action.kind === 'initialise') action = slot.initialised()
      else if (action.kind === 'read-ledger') action = slot.ledgerRead(sink.ledger)
      else {
        const { chunk, entry } = action
        const outcome = sink.publish(entry, chunk === undefined ? undefined : `${chunk.epoch}.${chunk.chunk}`)
        if (outcome === 'crash') crashed = true
        else if (outcome === 'unknown') action = slot.published({ kind: 'unknown', error: new Error('lost') }, entry)
        else action = slot.published({ kind: 'published' }, entry)
      }
      if (!crashed && action === undefined && slot.settled) {
        const epoch = (decided.at(-1)?.epoch ?? 0) + 1
        if (epoch > 10) return sink.records
        floor = slot.ledger
        const chunks = [0, 1].map(chunk => ({
          epoch,
          chunk,
          last: chunk === 1,
          manifestHash: 'h',
          file: 'f',
          offset: 0,
          length: 0
        }))
        decided.push(...chunks)
        slot.decided(epoch, chunks)
        action = slot.next()
      }
    }
  }
  return sink.records
}

const expected = Array.from({ length: 20 }, (_, i) => `${Math.floor(i / 2) + 1}.${i % 2}`)
const right = (records: readonly string[]): boolean => JSON.stringify(records) === JSON.stringify(expected)

void t.test('every decided chunk is published once and in order, over 3,000 seeds of crashes and lost replies', t => {
  for (let seed = 0; seed < 3000; seed++)
    if (!right(scenario(seed))) t.fail(`seed ${seed}: ${scenario(seed).join(' ')}`)
  t.pass()
  t.end()
})

for (const planted of ['entry-apart', 'unknown-is-success'] as const)
  void t.test(`the check catches a planted mistake: ${planted}`, t => {
    let caught = 0
    for (let seed = 0; seed < 200; seed++)
      try {
        if (!right(scenario(seed, planted))) caught++
      } catch {
        caught++
      }
    t.ok(caught > 0, `${caught} of 200 seeds`)
    t.end()
  })

void t.test('a missing, rewound or future ledger entry halts instead of guessing', t => {
  const entry = (epoch: number): LedgerEntry => ({
    epoch,
    chunk: 0,
    last: true,
    generation: 1,
    manifestHash: '',
    owner: ''
  })
  const slot = (): SlotMachine => {
    const machine = new SlotMachine(name, { floor: { epoch: 3, chunk: 0 }, head: 5, generation: 2, owner: 'o' })
    machine.next()
    machine.initialised()
    return machine
  }
  t.throws(() => slot().ledgerRead(undefined), { code: 'RECOVERY_HALTED', message: /missing/ })
  t.throws(() => slot().ledgerRead(entry(2)), { code: 'RECOVERY_HALTED', message: /below epoch 3/ })
  t.throws(() => slot().ledgerRead(entry(6)), { code: 'RECOVERY_HALTED', message: /above the newest checkpoint 5/ })
  t.equal(slot().ledgerRead(entry(4)), undefined)
  t.end()
})

void t.test('a deposed owner that meets the entry of its successor is fenced, not halted', t => {
  const slot = new SlotMachine(name, { floor: { epoch: 0, chunk: 0 }, head: 1, generation: 1, owner: 'o1' })
  slot.next()
  slot.initialised()
  const entry = { epoch: 2, chunk: 0, last: true, manifestHash: '', owner: 'o2' }
  t.throws(() => slot.ledgerRead({ ...entry, generation: 2 }), { code: 'FENCED' })
  t.throws(() => slot.ledgerRead({ ...entry, generation: 1 }), { code: 'RECOVERY_HALTED' })
  t.end()
})
