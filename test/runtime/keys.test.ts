import t from 'tap'
import fc from 'fast-check'
import { decodeKey, encodeKey, keyGroupOf, keyIdentity, type Key } from '../../runtime/kernel/keys.ts'
import { murmur2 } from '../../runtime/kernel/murmur2.ts'

const text = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 }).map(units => String.fromCharCode(...units))
const part = fc.oneof(text, fc.maxSafeInteger())
/** Around what fits into a pair of small numbers. */
const small = fc.constantFrom(-1, 0, 1, 2 ** 26 - 1, 2 ** 26, 2 ** 26 + 1, 2 ** 52 - 1, 2 ** 52)
const pair = fc.tuple(fc.oneof(small, fc.nat(3)), fc.oneof(small, fc.nat(3)))
const key: fc.Arbitrary<Key> = fc.oneof(text, fc.maxSafeInteger(), fc.array(part, { maxLength: 3 }), pair, small)

void t.test('a key comes back exactly from its bytes, lone surrogates too', t => {
  fc.assert(fc.property(key, k => JSON.stringify(decodeKey(encodeKey(k))) === JSON.stringify(k)))
  t.end()
})

void t.test('distinct keys have distinct bytes and identities', t => {
  const hex = (k: Key): string => Buffer.from(encodeKey(k)).toString('hex')
  fc.assert(
    fc.property(key, key, (a, b) => {
      const same = JSON.stringify(a) === JSON.stringify(b)
      return (hex(a) === hex(b)) === same && (keyIdentity(a) === keyIdentity(b)) === same
    }),
    { numRuns: 10_000 }
  )
  t.notSame(hex('1'), hex(1))
  t.not(keyIdentity('\u0000["a"]'), keyIdentity(['a']))
  t.not(keyIdentity([1, 1]), keyIdentity(2 ** 26 + 1))
  t.not(keyIdentity([0, 2 ** 26]), keyIdentity([1, 0]))
  t.equal(keyIdentity([-0, 0]), keyIdentity([0, -0]))
  t.end()
})

void t.test('murmur2 is the one of Kafka', t => {
  const of = (s: string): number => murmur2(new TextEncoder().encode(s))
  t.equal(of('21'), -973932308)
  t.equal(of('foobar'), -790332482)
  t.equal(of('a-little-bit-long-string'), -985981536)
  t.equal(of('abc'), 479470107)
  t.ok(keyGroupOf(encodeKey('x'), 1920) < 1920)
  t.end()
})

void t.test('keys that cannot be are refused by name', t => {
  t.throws(() => encodeKey('x'.repeat(70_000)), { code: 'KEY_INVALID' })
  t.end()
})
