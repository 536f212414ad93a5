/** Alignment against the definition: epoch n is aligned when every channel has delivered barrier n or has ended. */
import fc from 'fast-check'
import t from 'tap'
import { Aligner } from '../../checkpoint/aligner.ts'

function check(make: (channels: number) => Aligner): void {
  const action = fc.record({
    channel: fc.nat(3),
    what: fc.constantFrom('barrier', 'barrier', 'barrier', 'end', 'cancel')
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(action, { maxLength: 60 }), (channels, actions) => {
      const aligner = make(channels)
      const delivered = new Array<number>(channels).fill(0)
      const ended = new Array<boolean>(channels).fill(false)
      let cancelled = 0
      let aligned = 0
      for (const { channel, what } of actions) {
        if (channel >= channels || ended[channel] === true) continue
        const open = (epoch: number): boolean => epoch > cancelled && epoch > aligned
        if (what === 'cancel') {
          cancelled = Math.max(...delivered)
          aligner.cancel(cancelled)
          continue
        }
        const held = (i: number): boolean => open(delivered[i] as number) && delivered[i] === Math.max(...delivered)
        for (let i = 0; i < channels; i++)
          if (aligner.isHeld(i) !== (held(i) && ended[i] === false))
            throw new Error(`channel ${i} held: ${aligner.isHeld(i)}`)
        if (aligner.isHeld(channel)) continue
        const everywhere = (epoch: number): boolean => delivered.every((last, i) => ended[i] === true || last >= epoch)
        if (what === 'end') {
          ended[channel] = true
          const epoch = Math.max(...delivered)
          const expected = open(epoch) && everywhere(epoch) ? epoch : undefined
          const got = aligner.ended(channel)
          if (got !== expected) throw new Error(`end: ${got}, not ${expected}`)
          if (expected !== undefined) aligned = expected
        } else {
          const epoch = (delivered[channel] as number) + 1
          delivered[channel] = epoch
          const newest = Math.max(...delivered)
          const got = aligner.barrier(channel, epoch)
          let expected = 'obsolete'
          if (open(epoch) && epoch === newest) expected = everywhere(epoch) ? 'aligned' : 'held'
          if (got !== expected) throw new Error(`barrier ${epoch}: ${got}, not ${expected}`)
          if (expected === 'aligned') aligned = epoch
        }
      }
      if (aligner.allEnded !== ended.every(Boolean)) throw new Error('allEnded')
    }),
    { numRuns: 5000 }
  )
}

void t.test('alignment of random interleavings, with abandoned epochs and channels that end', t => {
  check(channels => new Aligner(channels))
  t.end()
})

void t.test('planted: an abandoned epoch that still holds, an end that does not count, a barrier let through', t => {
  class NeverCancels extends Aligner {
    override cancel(): void {}
  }
  class EndForgotten extends Aligner {
    override ended(channel: number): number | undefined {
      super.ended(channel)
      return undefined
    }
  }
  class LetsThrough extends Aligner {
    override isHeld(channel: number): boolean {
      return channel > 0 && super.isHeld(channel)
    }
  }
  for (const planted of [NeverCancels, EndForgotten, LetsThrough])
    t.throws(() => check(channels => new planted(channels)), planted.name)
  t.end()
})

/** What the definition says of channels that may belong to a cycle, and of snapshots that are forced. */
function checkRecording(make: (channels: number, cycle: readonly boolean[]) => Aligner): void {
  const action = fc.record({
    channel: fc.nat(3),
    what: fc.constantFrom('barrier', 'barrier', 'barrier', 'barrier', 'end', 'cancel', 'force')
  })
  const shape = fc.array(fc.boolean(), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(shape, fc.array(action, { maxLength: 60 }), (cycle, actions) => {
      const aligner = make(cycle.length, cycle)
      const delivered = cycle.map(() => 0)
      const ended = cycle.map(() => false)
      /** The newest epoch that was seen, whose snapshot was taken, that was given up. */
      let [newest, taken, cancelled] = [0, 0, 0]
      const has = (i: number): boolean => ended[i] === true || (delivered[i] as number) >= newest
      const open = (): boolean => newest > cancelled && newest > 0
      const complete = (): boolean => taken === newest && cycle.every((_, i) => has(i))
      const aligned = (): boolean => open() && taken < newest && cycle.every((each, i) => each || has(i))
      for (const { channel, what } of actions) {
        cycle.forEach((_, i) => {
          const held = open() && taken < newest && delivered[i] === newest && ended[i] === false
          const recorded = open() && taken === newest && !has(i)
          if (aligner.isHeld(i) !== held) throw new Error(`channel ${i} held: ${!held}`)
          if (aligner.isRecorded(i) !== recorded) throw new Error(`channel ${i} recorded: ${!recorded}`)
        })
        if (aligner.recording !== (open() && taken === newest && !complete())) throw new Error('recording')
        if (aligner.aligning !== (open() && taken < newest ? newest : undefined)) throw new Error('aligning')
        if (what === 'cancel') {
          cancelled = newest
          aligner.cancel(newest)
        } else if (what === 'force') {
          // A task forces an epoch whose barrier waits, or the next.
          if (!open() || taken === newest) {
            if (open() && !complete()) continue
            newest++
          }
          taken = newest
          aligner.force(newest)
        } else if (channel >= cycle.length || ended[channel] === true || aligner.isHeld(channel)) continue
        else if (what === 'end') {
          ended[channel] = true
          const expected = aligned() ? newest : undefined
          if (expected !== undefined) taken = newest
          const got = aligner.ended(channel)
          if (got !== expected) throw new Error(`end: ${got}, not ${expected}`)
        } else {
          const epoch = (delivered[channel] as number) + 1
          // One epoch is in flight: the next begins when the last is over.
          if (epoch > newest && open() && !complete()) continue
          delivered[channel] = epoch
          newest = Math.max(newest, epoch)
          let expected = 'obsolete'
          if (epoch === newest && open()) expected = taken === newest ? 'recorded' : aligned() ? 'aligned' : 'held'
          if (expected === 'aligned') taken = newest
          const got = aligner.barrier(channel, epoch)
          if (got !== expected) throw new Error(`barrier ${epoch}: ${got}, not ${expected}`)
        }
      }
      if (aligner.acyclicEnded !== cycle.every((each, i) => each || ended[i])) throw new Error('acyclicEnded')
    }),
    { numRuns: 5000 }
  )
}

void t.test(
  'recording of random interleavings: acyclic channels are aligned, cycles and what is late are recorded',
  t => {
    checkRecording((channels, cycle) => new Aligner(channels, cycle))
    t.end()
  }
)

void t.test('planted: cycles that are waited for, nothing recorded, recorded for ever, an end that is recorded', t => {
  class WaitsForCycles extends Aligner {
    constructor(channels: number) {
      super(channels)
    }
  }
  class RecordsNothing extends Aligner {
    override isRecorded(): boolean {
      return false
    }
  }
  class RecordsAll extends Aligner {
    override isRecorded(): boolean {
      return this.recording
    }
  }
  class HoldsBack extends Aligner {
    override isHeld(channel: number): boolean {
      return super.isHeld(channel) || this.isRecorded(channel)
    }
  }
  for (const planted of [WaitsForCycles, RecordsNothing, RecordsAll, HoldsBack])
    t.throws(() => checkRecording((channels, cycle) => new planted(channels, cycle)), planted.name)
  t.end()
})
