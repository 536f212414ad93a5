/** MurmurHash2 of the first `length` bytes as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2); a signed 32-bit integer. */
export function murmur2(data: Uint8Array, length = data.length): number {
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k =
      (data[i] as number) |
      ((data[i + 1] as number) << 8) |
      ((data[i + 2] as number) << 16) |
      ((data[i + 3] as number) << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  const tail = length & 3
  if (tail === 3) h ^= (data[whole + 2] as number) << 16
  if (tail >= 2) h ^= (data[whole + 1] as number) << 8
  if (tail >= 1) h = Math.imul(h ^ (data[whole] as number), m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}
