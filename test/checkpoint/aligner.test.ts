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
