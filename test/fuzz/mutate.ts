/** Inputs for decoders: valid ones with a few things wrong, and bytes that mean nothing. All of it follows from the seed. */
import type { Prng } from '../../runtime/kernel/prng.ts'

/** Longest input; what a decoder allocates is measured against the length, so that a longer one would show no more. */
export const longestBytes = 4096

/** Numbers at which code goes wrong: ends of ranges, signs, lengths beyond everything. */
const edges = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]
/** LEB128: a thousand, a million, 2^31, 2^53 - 1, and one that never ends. */
const lengths = [
  [0xe8, 0x07],
  [0xc0, 0x84, 0x3d],
  [0x80, 0x80, 0x80, 0x80, 0x08],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
]
const words = ['null', '[]', '{}', '""', '-1', '1e999', 'true', '"__proto__"', '[[[[[[[[', '\\ud800', '{"a":', ',']

export class Mutator {
  private readonly random: Prng
  private readonly seeds: readonly Uint8Array[]
  private readonly bytes = new Uint8Array(2 * longestBytes)
  private length = 0

  constructor(seeds: readonly Uint8Array[], random: Prng) {
    this.seeds = seeds
    this.random = random
  }

  /** A copy of its own. */
  next(): Uint8Array {
    const { random } = this
    if (random.int(10) === 0) return this.noise(random.int(random.int(4) === 0 ? longestBytes : 64))
    this.take(this.seed())
    for (let changes = 1 + random.int(random.int(8) === 0 ? 16 : 3); changes > 0; changes--) this.change()
    return this.bytes.slice(0, Math.min(this.length, longestBytes))
  }

  private seed(): Uint8Array {
    return this.seeds[this.random.int(this.seeds.length)] as Uint8Array
  }

  private noise(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.random.int(256)
    return bytes
  }

  private take(seed: Uint8Array): void {
    this.length = Math.min(seed.length, longestBytes)
    this.bytes.set(seed.subarray(0, this.length))
  }

  private change(): void {
    const { random, bytes } = this
    const at = random.int(this.length + 1)
    switch (random.int(9)) {
      case 0:
        if (at < this.length) bytes[at] = (bytes[at] as number) ^ (1 << random.int(8))
        return
      case 1:
        if (at < this.length) bytes[at] = random.int(256)
        return
      case 2:
        this.length = at
        return
      case 3:
        return this.insert(at, this.noise(1 + random.int(8)))
      case 4: {
        const end = Math.min(this.length, at + 1 + random.int(16))
        bytes.copyWithin(at, end, this.length)
        this.length -= end - at
        return
      }
      case 5: {
        const from = random.int(this.length + 1)
        return this.insert(at, bytes.slice(from, Math.min(this.length, from + random.int(64))))
      }
      case 6: {
        const other = this.seed()
        const from = random.int(other.length + 1)
        return this.insert(at, other.subarray(from, from + random.int(128)))
      }
      case 7: {
        const edge = edges[random.int(edges.length)] as number
        for (let i = 0; i < 4 && at + i < this.length; i++) bytes[at + i] = edge >>> (24 - 8 * i)
        return
      }
      default:
        return random.int(2) === 0
          ? this.insert(at, lengths[random.int(lengths.length)] as number[])
          : this.insert(at, Buffer.from(words[random.int(words.length)] as string))
    }
  }

  private insert(at: number, part: ArrayLike<number>): void {
    const length = Math.min(part.length, this.bytes.length - this.length)
    this.bytes.copyWithin(at + length, at, this.length)
    for (let i = 0; i < length; i++) this.bytes[at + i] = part[i] as number
    this.length += length
  }
}
