/** Frames between workers: what was sent comes back, and nothing else ever does. */
import fc from 'fast-check'
import t from 'tap'
import { IncomingChannel, OutgoingChannel } from '../../../runtime/core/exchange.ts'
import { encodeCredit, encodeHello, FrameReader, type Frame } from '../../../runtime/core/frames.ts'
import { isCodedError } from '../../../runtime/kernel/errors.ts'

const name = { edge: 3, from: 1, to: 2 }
function sample(): Uint8Array[] {
  const channel = new OutgoingChannel(name, 'w2')
  channel.push('key', { n: 1, text: 'ü', at: new Date(5) }, 12, 'in/0/', 7, '.1', 'trace 1')
  channel.push(['a', 2], undefined, -3, '', 0, '', '')
  channel.control({ kind: 'watermark', time: 9 })
  channel.control({ kind: 'idle', idle: true })
  channel.control({ kind: 'barrier', epoch: 4 })
  channel.push('z', [1, null], 1, '', 1, '', 'trace 2')
  channel.control({ kind: 'end' })
  const hello = encodeHello({ job: 'j', lineage: 1, generation: 2, from: 'w1', to: 'w2' })
  return [hello, ...channel.take(), encodeCredit(name, 300)]
}
const all = Buffer.concat(sample())

void t.test('frames come back whole however the bytes are cut', t => {
  const expected = new FrameReader().push(all)
  t.same(
    expected.map(({ kind }) => kind),
    ['hello', ...Array<string>(6).fill('element'), 'credit']
  )
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }), cuts => {
      const reader = new FrameReader()
      const got: Frame[] = []
      for (let at = 0, i = 0; at < all.length; at += cuts[i++ % cuts.length] as number)
        got.push(...reader.push(all.subarray(at, at + (cuts[i % cuts.length] as number))))
      t.same(got, expected)
      return true
    }),
    { numRuns: 50 }
  )
  t.end()
})

void t.test('a large frame that comes byte by byte takes no longer than its bytes', t => {
  const channel = new OutgoingChannel(name, 'w2')
  channel.push('key', 'x'.repeat(1 << 20), 1, '', 0, '', '')
  const reader = new FrameReader()
  const got: Frame[] = []
  // With one copy of what waits for each byte that comes this would be half a terabyte.
  for (const frame of channel.take()) for (const byte of frame) got.push(...reader.push(Uint8Array.of(byte)))
  t.same(
    got.map(({ kind }) => kind),
    ['element']
  )
  t.end()
})

void t.test('an incoming channel hands over what was pushed, in order, and returns credit for it', t => {
  const channel = new IncomingChannel(name, 'w1')
  const frames = new FrameReader().push(all)
  for (const frame of frames) if (frame.kind === 'element') channel.receive(frame)
  const first = channel.peek()
  t.match(first, {
    keys: ['key', ['a', 2]],
    times: [12, -3],
    origins: ['in/0/', ''],
    offsets: [7, 0],
    paths: ['.1', ''],
    traces: ['trace 1', '']
  })
  t.match(first?.kind === 'records' ? first.values : [], [{ n: 1, text: 'ü', at: new Date(5) }, undefined])
  const kinds: string[] = []
  while (!channel.empty) {
    kinds.push(channel.peek()?.kind ?? '')
    channel.shift()
  }
  t.same(kinds, ['records', 'watermark', 'idle', 'barrier', 'records', 'end'])
  t.ok(channel.takeCredit())
  t.equal(channel.takeCredit(), undefined)
  t.end()
})

void t.test('a gap in a channel, and credit for what was never sent, are refused', t => {
  const frames = new FrameReader().push(all).filter(frame => frame.kind === 'element')
  const channel = new IncomingChannel(name, 'w1')
  t.throws(() => channel.receive(frames[1] as never), { code: 'FRAME_MALFORMED' })
  t.throws(() => new OutgoingChannel(name, 'w2').credited(1), { code: 'FRAME_MALFORMED' })
  t.end()
})

void t.test('every flipped bit is a malformed frame, or one that is not complete yet', t => {
  const good = new FrameReader().push(all).length
  for (let bit = 0; bit < all.length * 8; bit += 3) {
    const bytes = Uint8Array.from(all)
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
    try {
      if (new FrameReader().push(bytes).length >= good) return t.fail(`bit ${bit} went unnoticed`)
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'FRAME_MALFORMED') return t.fail(`bit ${bit}: ${String(error)}`)
    }
  }
  t.throws(() => new FrameReader().push(Uint8Array.of(0x7f, 0xff, 0xff, 0xff)), { code: 'FRAME_MALFORMED' })
  return t.end()
})
