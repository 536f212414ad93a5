import fc from 'fast-check'
import t from 'tap'
import { bytesOfReadable, readableBytes } from '../../../runtime/kernel/readable-bytes.ts'

void t.test('bytes are text where they are text, else base64, and are found again', async t => {
  t.equal(readableBytes(new TextEncoder().encode('né\u0000')), 'né\u0000')
  t.equal(readableBytes(new TextEncoder().encode('\ufeffn')), '\ufeffn')
  t.same(readableBytes(new Uint8Array([0xff, 1])), { $bytes: '/wE=' })
  t.equal(readableBytes(undefined), null)
  for (const other of [undefined, null, 1, {}, { $bytes: 1 }]) t.equal(bytesOfReadable(other), undefined)
  fc.assert(
    fc.property(fc.option(fc.uint8Array(), { nil: undefined }), bytes => {
      const found = bytesOfReadable(JSON.parse(JSON.stringify(readableBytes(bytes))))
      return bytes === undefined ? found === undefined : Buffer.compare(found as Uint8Array, bytes) === 0
    })
  )
})
