/** The only Node built-ins of the kernel: pure functions that happen to be native. */
import { createHash } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'

export function crc32(bytes: Uint8Array, seed = 0): number {
  // An empty array may have no memory behind it, and zlib takes that for the beginning: 0, whatever came before.
  return bytes.length === 0 ? seed : zlibCrc32(bytes, seed)
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
