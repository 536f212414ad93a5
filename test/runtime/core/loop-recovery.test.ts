/** Weight is conserved in every checkpoint of a loop, each message has its effects once, and checks notice what is not so. */
import t from 'tap'
import { Aligner } from '../../../checkpoint/aligner.ts'
import type { StateFileWriter } from '../../../checkpoint/state-file.ts'
import type { Channel } from '../../../runtime/core/channel.ts'
import { RecordedMessages, type Message } from '../../../runtime/core/recorded-messages.ts'
import { TimerQueue } from '../../../runtime/core/timer-queue.ts'
import { ringLife, treesLife, walkLife } from '../../support/loop-lives.ts'

t.setTimeout(600_000)
const base = process.env['CAIRN_SEED'] ?? String(process.hrtime.bigint())
const lives = Number(process.env['CAIRN_LIVES'] ?? 15)

void t.test('random trees of messages: every weight is somewhere once, every message is handled once', async t => {
  t.comment(`CAIRN_SEED=${base}`)
  let recorded = 0
  const uproot = planted('counted', RecordedMessages.prototype, 'record', right => {
    return function (this: RecordedMessages, ...rest: Parameters<typeof right>): void {
      recorded++
      right.apply(this, rest)
    }
  }).plant()
  t.teardown(uproot)
  for (let n = 0; n < lives; n++) {
    const wrong = await treesLife(`${base}/trees/${n}`)
    if (wrong !== undefined) return t.fail(`life ${n}: ${wrong}`)
  }
  t.comment(`${recorded} recorded messages`)
  t.ok(recorded > lives, 'messages were recorded')
})

void t.test('a walk over a graph finds the shortest ways', async t => {
  for (let n = 0; n < lives; n++) {
    const wrong = await walkLife(`${base}/walk/${n}`)
    if (wrong !== undefined) return t.fail(`life ${n}: ${wrong}`)
  }
  t.pass(`${lives} lives`)
})

void t.test('round a ring of three stages the letters of every sender come in order, each once', async t => {
  for (let n = 0; n < lives; n++) {
    const wrong = await ringLife(`${base}/ring/${n}`)
    if (wrong !== undefined) return t.fail(`life ${n}: ${wrong}`)
  }
  t.pass(`${lives} lives`)
})

/** Puts a mistake in the place of a method, and takes it out again. */
interface Planted {
  readonly name: string
  plant(): () => void
}

function planted<T extends object, N extends keyof T>(
  name: string,
  prototype: T,
  method: N,
  mistake: (right: T[N]) => T[N]
): Planted {
  return {
    name,
    plant() {
      const right = prototype[method]
      prototype[method] = mistake(right)
      return () => (prototype[method] = right)
    }
  }
}

/** The same for what is read like a field. */
function pretended(name: string, prototype: object, property: string, value: unknown): Planted {
  return {
    name,
    plant() {
      const right = Object.getOwnPropertyDescriptor(prototype, property) as PropertyDescriptor
      Object.defineProperty(prototype, property, { ...right, get: () => value })
      return () => Object.defineProperty(prototype, property, right)
    }
  }
}

const groups = new WeakMap<StateFileWriter, number>()
const mistakes: Planted[] = [
  planted('recorded messages are not restored', RecordedMessages.prototype, 'restore', () => () => undefined),
  planted(
    'they are handled twice',
    RecordedMessages.prototype,
    'replay',
    right =>
      function (this: RecordedMessages): Channel {
        const channel = right.call(this)
        const records = channel.peek()
        if (records?.kind === 'records') channel.batch(structuredClone(records))
        return channel
      }
  ),
  planted(
    'they are stored by the task that recorded them, not by their key',
    RecordedMessages.prototype,
    'record',
    right =>
      function (this: RecordedMessages, writer: StateFileWriter, keyGroup: number, message: Message): void {
        if (!groups.has(writer)) groups.set(writer, keyGroup)
        right.call(this, writer, groups.get(writer) as number, message)
      }
  ),
  planted(
    'those of the checkpoint before stay',
    RecordedMessages.prototype,
    'seal',
    right =>
      function (this: RecordedMessages, writer: StateFileWriter): void {
        right.call(this, Object.assign(Object.create(writer) as StateFileWriter, { add: () => undefined }))
      }
  ),
  planted('nothing is recorded', Aligner.prototype, 'isRecorded', () => () => false),
  planted(
    'what comes behind the barrier is recorded too',
    Aligner.prototype,
    'isRecorded',
    () =>
      function (this: Aligner): boolean {
        return this.recording
      }
  ),
  planted('a channel that has delivered its barrier is read', Aligner.prototype, 'isHeld', () => () => false),
  pretended('a loop ends while messages are under way in it', RecordedMessages.prototype, 'count', 0),
  pretended('a loop ends while timers are armed behind the final watermark', TimerQueue.prototype, 'size', 0)
]

for (const mistake of mistakes)
  void t.test(`planted: ${mistake.name}`, async t => {
    for (let n = 0; n < 60; n++) {
      const uproot = mistake.plant()
      let found: string | undefined
      try {
        found = (await treesLife(`planted/${n}`)) ?? (await ringLife(`planted/${n}`))
      } catch (error) {
        found = String(error)
      } finally {
        uproot()
      }
      if (found !== undefined) return t.pass(`life ${n}: ${found}`)
    }
    t.fail('it was not noticed')
  })
