/** CRC-32C (Castagnoli), eight bytes a step: what Kafka's batches and LevelDB's files are checked with. */
const tables = Array.from({ length: 8 }, () => new Uint32Array(256)) as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array
]
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables

for (let n = 0; n < 256; n++) {
  let crc = n
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  t0[n] = crc
}
for (let table = 1; table < 8; table++)
  for (let n = 0; n < 256; n++) {
    const before = (tables[table - 1] as Uint32Array)[n] as number
    ;(tables[table] as Uint32Array)[n] = (before >>> 8) ^ (t0[before & 255] as number)
  }

export type Crc32c = (bytes: Uint8Array, seed?: number) => number

/** From so many bytes on a call of native code is the faster. */
const largeBytes = 256
let ofLarge: Crc32c | undefined

/** From now on this is asked where there is much to sum up; it must answer the same. */
export function useForLarge(faster: Crc32c): void {
  ofLarge = faster
}

export function crc32c(bytes: Uint8Array, seed = 0): number {
  return bytes.length < largeBytes || ofLarge === undefined ? crc32cByTables(bytes, seed) : ofLarge(bytes, seed)
}

export function crc32cByTables(bytes: Uint8Array, seed = 0): number {
  const at = (table: Uint32Array, i: number): number => table[i & 255] as number
  let crc = ~seed
  let i = 0
  for (const last = bytes.length - 8; i <= last; i += 8) {
    crc ^=
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24)
    crc =
      at(t7, crc) ^
      at(t6, crc >>> 8) ^
      at(t5, crc >>> 16) ^
      at(t4, crc >>> 24) ^
      at(t3, bytes[i + 4] as number) ^
      at(t2, bytes[i + 5] as number) ^
      at(t1, bytes[i + 6] as number) ^
      at(t0, bytes[i + 7] as number)
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ at(t0, crc ^ (bytes[i] as number))
  return ~crc >>> 0
}
