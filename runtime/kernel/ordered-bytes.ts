/** Encodings whose byte order is the order of what they encode: parts of ordered keys. */
import type { ByteReader, ByteWriter } from './bytes.ts'

const bits = new DataView(new ArrayBuffer(8))

/** IEEE bits turned so that byte order is number order, negative numbers included. NaN is not a number to order by. */
export function writeOrderedNumber(n: number, into: ByteWriter): void {
  bits.setFloat64(0, n + 0)
  const [high, low] = [bits.getUint32(0), bits.getUint32(4)]
  const negative = high >= 0x80000000
  into.u32((negative ? ~high : high | 0x80000000) >>> 0)
  into.u32((negative ? ~low : low) >>> 0)
}

export function readOrderedNumber(reader: ByteReader): number {
  const [high, low] = [reader.u32(), reader.u32()]
  const positive = high >= 0x80000000
  bits.setUint32(0, (positive ? high & 0x7fffffff : ~high) >>> 0)
  bits.setUint32(4, (positive ? low : ~low) >>> 0)
  return bits.getFloat64(0)
}

/** Zero bytes are escaped and a terminator added, so that what follows never disturbs the order. */
export function writeEscaped(bytes: Uint8Array, into: ByteWriter): void {
  for (const byte of bytes) {
    into.u8(byte)
    if (byte === 0) into.u8(0xff)
  }
  into.u16(0)
}

export function readEscaped(reader: ByteReader): Uint8Array {
  const bytes: number[] = []
  for (;;) {
    const byte = reader.u8()
    if (byte !== 0) bytes.push(byte)
    else if (reader.u8() === 0) return Uint8Array.from(bytes)
    else bytes.push(0)
  }
}
