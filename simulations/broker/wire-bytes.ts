/** The simulated broker's own reading and writing of Kafka's primitive types. Deliberately shares nothing with `runtime/kafka-protocol`. */

/** A client has sent something that is no request. */
export class WireError extends Error {}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class Cursor {
  private readonly view: DataView
  private readonly source: Uint8Array
  private at = 0

  constructor(source: Uint8Array) {
    this.source = source
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  }

  get left(): number {
    return this.source.length - this.at
  }

  private step(count: number): number {
    if (count < 0 || count > this.left) throw new WireError(`${count} bytes wanted, ${this.left} left`)
    const start = this.at
    this.at += count
    return start
  }

  boolean(): boolean {
    return this.view.getInt8(this.step(1)) === 1
  }
  int8(): number {
    return this.view.getInt8(this.step(1))
  }
  int16(): number {
    return this.view.getInt16(this.step(2))
  }
  int32(): number {
    return this.view.getInt32(this.step(4))
  }
  uint32(): number {
    return this.view.getUint32(this.step(4))
  }
  int64(): number {
    return Number(this.view.getBigInt64(this.step(8)))
  }
  raw(count: number): Uint8Array {
    const start = this.step(count)
    return this.source.slice(start, start + count)
  }
  /** Unsigned, seven bits a byte, lowest first. */
  uvarint(): number {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.view.getUint8(this.step(1))
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(value)
    }
    throw new WireError('a varint without an end')
  }
  /** Signed: 0, -1, 1, -2 … */
  varint(): number {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.view.getUint8(this.step(1))
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number((value >> 1n) ^ -(value & 1n))
    }
    throw new WireError('a varint without an end')
  }

  private sized(length: number): Uint8Array | undefined {
    return length < 0 ? undefined : this.raw(length)
  }
  string(compact: boolean): string | undefined {
    const found = this.sized(compact ? this.uvarint() - 1 : this.int16())
    return found === undefined ? undefined : decoder.decode(found)
  }
  bytes(compact: boolean): Uint8Array | undefined {
    return this.sized(compact ? this.uvarint() - 1 : this.int32())
  }
  array<T>(compact: boolean, item: () => T): T[] {
    return this.arrayOrNull(compact, item) ?? []
  }
  arrayOrNull<T>(compact: boolean, item: () => T): T[] | undefined {
    const count = compact ? this.uvarint() - 1 : this.int32()
    if (count < 0) return undefined
    if (count > this.left) throw new WireError(`${count} items in ${this.left} bytes`)
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(item())
    return items
  }
  /** Tagged fields: none of those that clients send matter here. */
  tags(compact: boolean): void {
    if (!compact) return
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint()
      this.raw(this.uvarint())
    }
  }
  done(): void {
    if (this.left > 0) throw new WireError(`${this.left} bytes too many`)
  }
}

export class Out {
  private buffer = new Uint8Array(128)
  private view = new DataView(this.buffer.buffer)
  size = 0

  private grow(count: number): number {
    if (this.size + count > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.size + count))
      larger.set(this.buffer)
      this.buffer = larger
      this.view = new DataView(larger.buffer)
    }
    const start = this.size
    this.size += count
    return start
  }

  boolean(b: boolean): this {
    return this.int8(b ? 1 : 0)
  }
  int8(n: number): this {
    const at = this.grow(1)
    this.view.setInt8(at, n)
    return this
  }
  int16(n: number): this {
    const at = this.grow(2)
    this.view.setInt16(at, n)
    return this
  }
  int32(n: number): this {
    const at = this.grow(4)
    this.view.setInt32(at, n)
    return this
  }
  int64(n: number): this {
    const at = this.grow(8)
    this.view.setBigInt64(at, BigInt(n))
    return this
  }
  raw(bytes: Uint8Array): this {
    const at = this.grow(bytes.length)
    this.buffer.set(bytes, at)
    return this
  }
  uvarint(n: number): this {
    let rest = BigInt(n)
    while (rest > 127n) {
      const at = this.grow(1)
      this.view.setUint8(at, Number(rest & 127n) | 128)
      rest >>= 7n
    }
    const at = this.grow(1)
    this.view.setUint8(at, Number(rest))
    return this
  }
  varint(n: number): this {
    const value = BigInt(n)
    return this.uvarint(Number(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))))
  }
  string(compact: boolean, text: string | undefined): this {
    if (text === undefined) return compact ? this.uvarint(0) : this.int16(-1)
    const bytes = encoder.encode(text)
    return (compact ? this.uvarint(bytes.length + 1) : this.int16(bytes.length)).raw(bytes)
  }
  bytes(compact: boolean, bytes: Uint8Array): this {
    return (compact ? this.uvarint(bytes.length + 1) : this.int32(bytes.length)).raw(bytes)
  }
  array<T>(compact: boolean, items: readonly T[], write: (item: T) => void): this {
    if (compact) this.uvarint(items.length + 1)
    else this.int32(items.length)
    for (const item of items) write(item)
    return this
  }
  tags(compact: boolean): this {
    return compact ? this.uvarint(0) : this
  }
  patchInt32(at: number, n: number): void {
    this.view.setInt32(at, n)
  }
  patchUint32(at: number, n: number): void {
    this.view.setUint32(at, n)
  }
  take(): Uint8Array {
    return this.buffer.slice(0, this.size)
  }
}
