/** The native CRC-32C answers what the one in JavaScript does, or is not used. */
import { createRequire } from 'node:module'
import fc from 'fast-check'
import t from 'tap'
import { crc32c, crc32cByTables, useForLarge } from '../../../runtime/kernel/crc32c.ts'
import { nativeCrc32c } from '../../../runtime/packages/native-crc32c.ts'

const require = createRequire(import.meta.url)

const native = nativeCrc32c(require) ?? crc32cByTables
if (native === crc32cByTables) t.comment('@node-rs/crc32 HAS NO ADDON FOR THIS MACHINE: nothing to compare')

void t.test('it answers what the one in JavaScript does, wherever the bytes lie', t => {
  const bytes = fc.uint8Array({ maxLength: 5000 })
  fc.assert(
    fc.property(bytes, fc.nat(8), fc.nat(0xffffffff), (all, from, seed) => {
      const part = all.subarray(from)
      return native(part, seed) === crc32cByTables(part, seed)
    }),
    { numRuns: 2000 }
  )
  t.end()
})

void t.test('one that is missing, is another package or answers something else is not used', t => {
  t.equal(
    nativeCrc32c(name => require(`${name}-of-nobody`)),
    undefined
  )
  t.equal(
    nativeCrc32c(() => ({})),
    undefined
  )
  t.equal(
    nativeCrc32c(() => ({ crc32c: (bytes: Uint8Array) => crc32cByTables(bytes) })),
    undefined,
    'the seed is passed over'
  )
  t.end()
})

void t.test('only what is large is given to it', t => {
  const asked: number[] = []
  useForLarge((bytes, seed) => {
    asked.push(bytes.length)
    return crc32cByTables(bytes, seed)
  })
  for (const length of [0, 10, 255, 256, 5000]) crc32c(new Uint8Array(length))
  t.same(asked, [256, 5000])
  t.end()
})
