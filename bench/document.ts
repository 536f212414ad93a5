/** An actor of a size that can be chosen: two numbers, and text that no database can compress. */
import { Actor } from 'cairn'
import type { Payment } from './events.ts'

let textBytes = 0
let pool: Buffer | undefined
const poolBytes = 1024 * 1024

/** Of each document that is begun from now on. At most 512 KiB. */
export function chooseTextBytes(bytes: number): void {
  textBytes = bytes
}

/** The same for the same account; ASCII. */
export function textOf(account: string): string {
  if (textBytes === 0) return ''
  pool ??= randomText()
  let hash = 0
  for (let i = 0; i < account.length; i++) hash = Math.imul(hash ^ account.charCodeAt(i), 0x9e3779b1)
  const from = (hash >>> 0) % (poolBytes - textBytes)
  return pool.toString('latin1', from, from + textBytes)
}

/** Xorshift (Marsaglia, 2003), six bits a character. */
function randomText(): Buffer {
  const bytes = Buffer.allocUnsafe(poolBytes)
  let x = 0x2545f491
  for (let i = 0; i < poolBytes; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[i] = 48 + ((x >>> 8) & 63)
  }
  return bytes
}

export abstract class Document extends Actor {
  count = 0
  total = 0
  text = ''

  add({ account, amount }: Payment): void {
    if (this.count === 0) this.text = textOf(account)
    this.count++
    this.total += amount
  }
}
