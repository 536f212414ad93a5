/** Seeded randomness: sfc32 (Chris Doty-Humphrey's Small Fast Counting generator, PractRand), seeded by FNV-1a. */
export class Prng {
  private readonly seed: string
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: string | number) {
    this.seed = String(seed)
    this.a = fnv1a(this.seed, 0x811c9dc5)
    this.b = fnv1a(this.seed, 0x01000193)
    this.c = fnv1a(this.seed, 0x9e3779b9)
    for (let i = 0; i < 12; i++) this.next()
  }

  /** In [0, 1). */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = ((this.c << 21) | (this.c >>> 11)) + t
    return (t >>> 0) / 2 ** 32
  }

  /** An integer in [0, n). */
  int(n: number): number {
    return Math.floor(this.next() * n)
  }

  /** An independent stream: drawing from one never shifts another. */
  fork(name: string): Prng {
    return new Prng(`${this.seed}/${name}`)
  }
}

function fnv1a(text: string, basis: number): number {
  let hash = basis
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}
