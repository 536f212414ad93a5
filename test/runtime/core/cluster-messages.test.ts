/** Control messages that another version may send: whole, or not taken at all. */
import t from 'tap'
import {
  decodeCommand,
  decodeDirective,
  decodePulse,
  decodeReport,
  encodeMessage,
  type Command,
  type Directive,
  type Pulse,
  type Report
} from '../../../runtime/core/cluster-messages.ts'

const report: Report = {
  lineage: 1,
  worker: 'w1#1',
  name: 'w1',
  sequence: 4,
  address: '127.0.0.1:1',
  plan: 'p',
  leaving: false,
  generation: 2,
  state: 'running',
  error: 'why',
  lost: 'w2#1',
  silent: ['w3#1'],
  report: {
    changed: true,
    finished: false,
    resting: false,
    standing: false,
    parkedKeys: 0,
    recovered: true,
    settled: true,
    decided: 3,
    unpublished: 0,
    pendingBytes: 10,
    acknowledged: { epoch: 4, tasks: [], ledgers: [] },
    declined: { epoch: 4, message: 'no space' }
  }
}
const directive: Directive = {
  lineage: 2,
  leader: 'w1#1',
  term: 3,
  sequence: 9,
  phase: 'running',
  generation: 2,
  perWorker: 1,
  addresses: { 'w1#1': '127.0.0.1:1' },
  trigger: { epoch: 5, last: false },
  abandoned: 4,
  decided: { epoch: 3, hash: 'ab', loops: [{ stages: ['a'], step: 'close' }] }
}
const commands: readonly Command[] = [
  { kind: 'leave', worker: 'w1#1' },
  { kind: 'drain', term: 3 },
  { kind: 'rescale', term: 3, tasks: 2 }
]
const pulse: Pulse = { kind: 'pulse', worker: 'w1#1' }

const subjects: readonly [string, object, (bytes: Uint8Array) => unknown][] = [
  ['report', report, decodeReport],
  ['directive', directive, decodeDirective],
  ...commands.map((command): [string, object, (bytes: Uint8Array) => unknown] => [
    command.kind,
    command,
    decodeCommand
  ]),
  ['pulse', pulse, decodePulse]
]

/** The message with each of its values, at whatever depth, in the place of something that it cannot be. */
function* spoiled(value: unknown, put: (value: unknown) => unknown, path = ''): Generator<[string, unknown]> {
  if (path !== '') yield [path, put({ unknown: 1 })]
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value))
    yield* spoiled(
      inner,
      changed => put(Array.isArray(value) ? [changed] : { ...value, [name]: changed }),
      `${path}/${name}`
    )
}

void t.test('a whole message is taken; one with a value of another type is none', t => {
  for (const [name, message, decode] of subjects) {
    t.same(decode(encodeMessage(message as Report)), message, name)
    for (const [path, wrong] of spoiled(message, changed => changed))
      t.equal(decode(encodeMessage(wrong as Report)), undefined, `${name}${path}`)
  }
  t.end()
})

void t.test('what a newer version adds is let through, and what is optional may be missing', t => {
  t.ok(decodeReport(encodeMessage({ ...report, since: 'later' } as Report)))
  const { error: _, lost: _lost, silent: _silent, report: _report, ...least } = report
  t.same(decodeReport(encodeMessage(least)), least)
  t.same(decodeDirective(encodeMessage({ ...directive, trigger: null, decided: null }))?.trigger, null)
  t.equal(decodeCommand(encodeMessage({ kind: 'rescale', term: 3, tasks: 0 })), undefined)
  t.equal(decodeReport(encodeMessage(directive)), undefined)
  t.equal(decodeReport(new TextEncoder().encode('{')), undefined)
  t.end()
})
