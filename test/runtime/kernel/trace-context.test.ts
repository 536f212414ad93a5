/** Trace contexts: what W3C says is one comes through unchanged, and nothing else does. */
import fc from 'fast-check'
import t from 'tap'
import { decodeHeaders, encodeHeaders, headersSizeBytes } from '../../../runtime/kernel/record-header.ts'
import {
  isSampled,
  traceHeaders,
  traceOf,
  tracePartsOf,
  traceText,
  withTrace
} from '../../../runtime/kernel/trace-context.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const header = (name: string, value: string | undefined) => ({
  name,
  value: value === undefined ? value : bytes(value)
})
const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

void t.test('what is malformed counts as absent', t => {
  const wrong = [
    '',
    parent.toUpperCase(),
    `${parent}-more`,
    `${parent} `,
    parent.slice(1),
    parent.replace('00-', 'ff-'),
    '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
    '00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01',
    `cc${parent.slice(2)}.later`
  ]
  for (const each of wrong) t.equal(traceOf([header('traceparent', each)]), '', each)
  t.equal(traceOf([]), '')
  t.equal(traceOf(undefined), '')
  t.equal(traceOf([header('traceparent', undefined)]), '')
  t.equal(traceOf([header('tracestate', 'a=1')]), '', 'a state alone says nothing')
  t.equal(traceOf([header('tracestate', 'ü=1'), header('traceparent', parent)]), parent)
  t.equal(traceOf([header('tracestate', `a=${'x'.repeat(511)}`), header('traceparent', parent)]), parent)
  t.end()
})

void t.test('a context of a later version is carried as one of this version; of several the last counts', t => {
  t.equal(traceOf([header('traceparent', `cc${parent.slice(2)}-what-comes`)]), parent)
  t.equal(traceOf([header('traceparent', `cc${parent.slice(2)}`)]), parent)
  const other = parent.replace('00f', '11f')
  t.equal(traceOf([header('traceparent', other), header('traceparent', parent)]), parent)
  t.end()
})

void t.test('a context is the same after it was carried, whatever its parts', t => {
  const hex = (length: number) =>
    fc
      .array(fc.integer({ min: 0, max: 15 }), { minLength: length, maxLength: length })
      .map(digits => digits.map(digit => digit.toString(16)).join(''))
      .filter(text => !/^0+$/.test(text))
  const state = fc.option(
    fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 200 }).filter(text => /^[\x20-\x7e]+$/.test(text)),
    { nil: undefined }
  )
  fc.assert(
    fc.property(hex(32), hex(16), fc.integer({ min: 0, max: 255 }), state, (traceId, spanId, flags, state) => {
      const parts = { traceId, spanId, flags, state }
      const trace = traceText(parts)
      t.same(tracePartsOf(trace), parts)
      t.equal(traceOf(traceHeaders(trace)), trace)
      t.equal(isSampled(trace), flags % 2 === 1)
    }),
    { numRuns: 200 }
  )
  t.same(traceHeaders(''), [])
  t.equal(isSampled(''), false)
  t.end()
})

void t.test('a context never takes the place of what a record says itself, nor room that is not there', t => {
  const own = [header('a', '1')]
  const trace = `${parent};a=1`
  t.same(withTrace(undefined, '', 1000), undefined)
  t.same(withTrace(undefined, trace, 1000), traceHeaders(trace))
  t.same(withTrace(own, trace, 1000), [...own, ...traceHeaders(trace)])
  const chosen = [header('traceparent', parent.replace('00f', '11f'))]
  t.same(withTrace(chosen, trace, 1000), chosen)
  const room = headersSizeBytes(traceHeaders(trace))
  t.same(withTrace(own, trace, room), [...own, ...traceHeaders(trace)])
  t.same(withTrace(own, trace, room - 1), own)
  t.end()
})

void t.test('headers come back as they were written, and take no more than was said', t => {
  const value = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined })
  fc.assert(
    fc.property(fc.array(fc.record({ name: fc.string({ unit: 'binary' }), value }), { maxLength: 5 }), headers => {
      const encoded = encodeHeaders(headers)
      t.same(decodeHeaders(encoded), headers)
      t.ok(encoded.length <= headersSizeBytes(headers))
    }),
    { numRuns: 100 }
  )
  t.equal(encodeHeaders(undefined).length, 0)
  t.throws(() => decodeHeaders(Uint8Array.of(3, 65)), { code: 'CORRUPT' })
  t.end()
})
