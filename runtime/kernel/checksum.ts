/** The only Node built-ins of the kernel: pure functions that happen to be native. */
import { createHash } from 'node:crypto'
import { crc32 as zlibCrc32 } from 'node:zlib'

export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed)
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
