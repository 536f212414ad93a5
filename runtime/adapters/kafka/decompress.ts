/** What records were before they were compressed. */
import * as zlib from 'node:zlib'
import { uncompressSnappy } from '../../kernel/level-format.ts'
import { CodedError } from '../../kernel/errors.ts'
import { uncompressLz4 } from './lz4.ts'

/** A batch of Kafka is of a few megabytes; what claims to be more is an attack, or damage. */
const mostBytes = 256 * 1024 * 1024

/** Node.js 22.15 and newer has it. */
const zstd = (zlib as { zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array }).zstdDecompressSync

/** By Kafka's number for how; undefined: not known here. Throws CORRUPT. */
export function decompress(codec: number, bytes: Uint8Array): Uint8Array | undefined {
  try {
    switch (codec) {
      case 1:
        return zlib.gunzipSync(bytes, { maxOutputLength: mostBytes })
      case 2:
        return uncompressBlocks(bytes)
      case 3:
        return uncompressLz4(bytes, mostBytes)
      case 4:
        return zstd?.(bytes, { maxOutputLength: mostBytes })
      default:
        return undefined
    }
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw new CodedError('CORRUPT', `compressed records: ${String(error)}`, { cause: error })
  }
}

const magic = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
const versionBytes = 8

/** Snappy as Java's clients write it, in blocks behind a header (https://github.com/xerial/snappy-java), or plain. */
function uncompressBlocks(bytes: Uint8Array): Uint8Array {
  if (!magic.every((byte, i) => bytes[i] === byte)) return uncompressSnappy(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const parts: Uint8Array[] = []
  for (let at = magic.length + versionBytes; at < bytes.length;) {
    const from = at + 4
    const end = from + (from <= bytes.length ? view.getUint32(at) : Infinity)
    if (end > bytes.length) throw new CodedError('CORRUPT', 'compressed records: a block that is cut off')
    parts.push(uncompressSnappy(bytes.subarray(from, end)))
    at = end
  }
  return Buffer.concat(parts)
}
