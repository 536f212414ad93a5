/** The output protocol of one slot against a sink that crashes, loses replies and executes requests late (P1–P5). */
import t from 'tap'
import { SlotMachine, type DecidedChunk, type SlotAction } from '../../../runtime/core/slot-machine.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { LedgerEntry, PublishOutcome, SourcePosition } from '../../../runtime/ports/publisher.ts'

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
      else if (action.kind === 'note') action = slot.noted({ kind: 'published' })
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

void t.test(
  'positions of sources are told with the last chunk of their epoch, or alone, and never before what was decided with them',
  t => {
    const chunk = (epoch: number, number: number, last: boolean): DecidedChunk => ({
      epoch,
      chunk: number,
      last,
      manifestHash: 'h',
      file: 'f',
      offset: 0,
      length: 0
    })
    const at = (position: number): readonly SourcePosition[] => [{ source: 'in', partition: 0, position }]
    const slot = new SlotMachine(name, { floor: undefined, head: 0, generation: 1, owner: 'o' })
    /** What is told, and with which chunk. */
    const story: string[] = []
    const perform = (action: SlotAction | undefined, outcome: PublishOutcome = { kind: 'published' }): void => {
      for (let next = action; next !== undefined;) {
        const { positions = [] } = 'positions' in next ? next : {}
        const told = positions.map(({ position }) => position).join()
        if (next.kind === 'initialise') next = slot.initialised()
        else if (next.kind === 'read-ledger') next = slot.ledgerRead(slot.ledger && { ...entryOf(slot.ledger.epoch) })
        else if (next.kind === 'note') {
          story.push(`alone: ${told}`)
          const how = outcome
          outcome = { kind: 'published' }
          next = slot.noted(how)
        } else {
          story.push(`${next.entry.epoch}.${next.entry.chunk}: ${told}`)
          const how = outcome
          outcome = { kind: 'published' }
          next = slot.published(how, next.entry)
        }
      }
    }
    const entryOf = (epoch: number): LedgerEntry => ({
      ...slot.ledger,
      epoch,
      chunk: 0,
      last: true,
      generation: 1,
      manifestHash: '',
      owner: ''
    })
    slot.decided(0, [], at(5))
    slot.decided(1, [chunk(1, 0, false), chunk(1, 1, true)], at(6))
    slot.decided(2, [], at(7))
    perform(slot.next())
    t.same(story.splice(0), ['0.0: ', '1.0: ', '1.1: 6', 'alone: 7'])
    t.ok(slot.settled)
    slot.decided(3, [], at(8))
    t.notOk(slot.settled, 'a job that ends waits for it')
    perform(slot.next(), { kind: 'published', positions: 'left-out' })
    t.same(story.splice(0), ['alone: 8', 'alone: 8'])
    slot.decided(4, [chunk(4, 0, true)], at(9))
    perform(slot.next(), { kind: 'published', positions: 'left-out' })
    t.same(story.splice(0), ['4.0: 9', 'alone: 9'])
    slot.decided(5, [], at(10))
    perform(slot.next(), { kind: 'unknown', error: new Error('lost') })
    t.same(story.splice(0), ['alone: 10', 'alone: 10'])
    slot.decided(6, [], at(11))
    let tries = 0
    for (let next = slot.next(); next?.kind === 'note'; tries++)
      next = slot.noted({ kind: 'published', positions: 'left-out' })
    t.equal(tries, 20, 'in the end nobody waits for those who keep them')
    t.ok(slot.settled)
    slot.decided(7, [], at(12))
    slot.next()
    t.throws(() => slot.noted({ kind: 'fenced' }), { code: 'FENCED' })
    t.end()
  }
)

void t.test('a deposed owner that initialises once more tells nobody how far it was', t => {
  let ledger: LedgerEntry = { epoch: 1, chunk: 0, last: true, generation: 1, manifestHash: 'h', owner: 'first' }
  const told: string[] = []
  const settle = (slot: SlotMachine): void => {
    for (let next = slot.next(); next !== undefined;) {
      if (next.kind === 'initialise') next = slot.initialised()
      else if (next.kind === 'read-ledger') next = slot.ledgerRead(ledger)
      else {
        told.push(`${next.kind} ${(next.positions ?? []).map(({ position }) => position).join()}`)
        if (next.kind === 'publish') ledger = next.entry
        next =
          next.kind === 'note' ? slot.noted({ kind: 'published' }) : slot.published({ kind: 'published' }, next.entry)
      }
    }
  }
  const owner = (generation: number, head: number): SlotMachine => {
    const slot = new SlotMachine(name, { floor: { epoch: 1, chunk: 0 }, head, generation, owner: `o${generation}` })
    slot.decided(head, [], [{ source: 'in', partition: 0, position: 10 * head }])
    return slot
  }
  const deposed = owner(2, 2)
  const successor = owner(3, 3)
  settle(successor)
  t.same(told.splice(0), ['publish 30'], 'the entry that stands is written again, without records')
  t.match(ledger, { epoch: 1, chunk: 0, last: true, generation: 3, manifestHash: 'h', owner: 'o3' })
  t.throws(() => settle(deposed), { code: 'FENCED' })
  t.same(told, [])
  successor.decided(4, [], [{ source: 'in', partition: 0, position: 40 }])
  settle(successor)
  t.same(told, ['note 40'], 'once in a generation is enough')
  t.end()
})
