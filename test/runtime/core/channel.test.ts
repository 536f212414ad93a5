/** What stands between records: nothing overtakes, and of watermarks in a row only the newest goes its way. */
import fc from 'fast-check'
import t from 'tap'
import { Channel, type ControlElement, type Outlet } from '../../../runtime/core/channel.ts'
import { IncomingChannel, OutgoingChannel } from '../../../runtime/core/exchange.ts'
import { FrameReader } from '../../../runtime/core/frames.ts'

type Step = 'record' | 'watermark' | 'barrier' | 'idle' | 'take'

/** Reads all, one line an element; records that stand together in one line each. */
function readAll(channel: Channel): string[] {
  const lines: string[] = []
  for (let element = channel.peek(); element !== undefined; element = channel.peek()) {
    if (element.kind === 'records') lines.push(...element.values.map(value => `record ${value as number}`))
    else lines.push(textOf(element))
    channel.shift()
  }
  return lines
}

function textOf(element: ControlElement): string {
  return element.kind === 'watermark' ? `watermark ${element.time}` : JSON.stringify(element)
}

function put(outlet: Outlet, step: Step, n: number): string | undefined {
  if (step === 'take') return undefined
  if (step === 'record') {
    outlet.push(`k${n}`, n, n, 'o', n, '', '')
    return `record ${n}`
  }
  const element: ControlElement =
    step === 'watermark'
      ? { kind: 'watermark', time: n }
      : step === 'barrier'
        ? { kind: 'barrier', epoch: n }
        : { kind: 'idle', idle: n % 2 === 0 }
  outlet.control(element)
  return textOf(element)
}

/** Without each watermark that another one follows at once. */
const newestOnly = (lines: readonly string[]): string[] =>
  lines.filter((line, i) => !(line.startsWith('watermark') && lines[i + 1]?.startsWith('watermark') === true))

const steps = fc.array(fc.constantFrom<Step[]>('record', 'watermark', 'watermark', 'barrier', 'idle', 'take'), {
  maxLength: 40
})

void t.test('a channel keeps the order, and of watermarks in a row the newest', t => {
  fc.assert(
    fc.property(steps, plan => {
      const channel = new Channel()
      const [given, got]: [string[], string[]] = [[], []]
      plan.forEach((step, n) => {
        const line = put(channel, step, n)
        if (line === undefined) got.push(...readAll(channel))
        else given.push(line)
      })
      got.push(...readAll(channel))
      t.same(newestOnly(got), newestOnly(given))
    })
  )
  t.end()
})

void t.test('so does one to another worker', t => {
  const name = { edge: 0, from: 0, to: 0 }
  fc.assert(
    fc.property(steps, plan => {
      const outgoing = new OutgoingChannel(name, 'b')
      const incoming = new IncomingChannel(name, 'a')
      const reader = new FrameReader()
      const [given, got]: [string[], string[]] = [[], []]
      const carry = (): void => {
        for (const bytes of outgoing.take())
          for (const frame of reader.push(bytes)) {
            t.equal(frame.kind, 'element')
            if (frame.kind === 'element') incoming.receive(frame)
          }
        got.push(...readAll(incoming))
      }
      plan.forEach((step, n) => {
        const line = put(outgoing, step, n)
        if (line === undefined) carry()
        else given.push(line)
      })
      carry()
      t.same(newestOnly(got), newestOnly(given))
    })
  )
  t.end()
})

void t.test('watermarks in a row take one frame', t => {
  const outgoing = new OutgoingChannel({ edge: 0, from: 0, to: 0 }, 'b')
  for (let time = 0; time < 100; time++) outgoing.control({ kind: 'watermark', time })
  t.equal(outgoing.take().length, 1)
  t.equal(outgoing.take().length, 0)
  t.end()
})
