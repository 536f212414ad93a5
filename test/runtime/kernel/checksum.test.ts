import t from 'tap'
import { crc32 } from '../../../runtime/kernel/checksum.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

void t.test('the CRC-32 of bytes in pieces is that of the whole, wherever a piece is empty', t => {
  t.equal(crc32(bytesOf('123456789')), 0xcbf43926)
  t.equal(crc32(bytesOf('')), 0)
  t.equal(crc32(bytesOf('6789'), crc32(bytesOf('12345'))), 0xcbf43926)
  for (const nothing of [new Uint8Array(0), bytesOf(''), new Uint8Array(new ArrayBuffer(0)), bytesOf('a').subarray(1)])
    t.equal(crc32(nothing, 0xcbf43926), 0xcbf43926)
  t.end()
})
