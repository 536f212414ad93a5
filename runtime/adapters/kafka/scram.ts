/**
 * SCRAM (RFC 5802, RFC 7677) without channel binding, as Kafka speaks it: proves that one knows the password without sending it, and has the
 * server prove that it knows it, too.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { CodedError } from '../../kernel/errors.ts'
import type { SaslExchange } from '../../kafka-protocol/connection-machine.ts'

export interface ScramOptions {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly user: string
  readonly password: string
  /** Printable, no comma; default 24 random bytes. Only tests give one. */
  readonly nonce?: string
}

/** Kafka takes no fewer, and stores 4,096 or 8,192; more would let a hostile server keep this process busy for seconds. */
const minIterations = 4096
const maxIterations = 200_000

/** One exchange of one connection. */
export function scramExchange(options: ScramOptions): SaslExchange {
  const { mechanism, user, password } = options
  const hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const nonce = options.nonce ?? randomBytes(24).toString('base64')
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest()
  const bare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`
  let expected: Buffer | undefined

  /** Proves ourselves; remembers how the server must prove itself. */
  const prove = (challenge: string): string => {
    const { r = '', s = '', i = '' } = attributes(challenge, mechanism)
    const iterations = /^\d{1,9}$/.test(i) ? Number(i) : 0
    if (!r.startsWith(nonce) || r.length === nonce.length) throw untrusted(mechanism, 'answers another exchange')
    if (s === '' || iterations < minIterations || iterations > maxIterations)
      throw untrusted(mechanism, `wants ${i} iterations; ${minIterations} to ${maxIterations} are accepted`)
    const salted = pbkdf2Sync(password, Buffer.from(s, 'base64'), iterations, hash === 'sha256' ? 32 : 64, hash)
    const unproven = `c=biws,r=${r}`
    const text = `${bare},${challenge},${unproven}`
    const clientKey = hmac(salted, 'Client Key')
    const signature = hmac(createHash(hash).update(clientKey).digest(), text)
    expected = hmac(hmac(salted, 'Server Key'), text)
    return `${unproven},p=${Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] as number))).toString('base64')}`
  }

  return {
    mechanism,
    first: () => Buffer.from(`n,,${bare}`),
    next: challenge => {
      const text = Buffer.from(challenge).toString()
      if (expected === undefined) return Buffer.from(prove(text))
      const { v, e } = attributes(text, mechanism)
      if (e !== undefined) throw untrusted(mechanism, `refuses: ${e.slice(0, 100)}`)
      const shown = Buffer.from(v ?? '', 'base64')
      if (shown.length !== expected.length || !timingSafeEqual(shown, expected))
        throw untrusted(mechanism, 'does not know the password')
      return undefined
    }
  }
}

/** `r=…,s=…,i=…`; a value may hold `=`. */
function attributes(text: string, mechanism: string): Partial<Record<string, string>> {
  const pairs = text.split(',').map(part => /^([a-z])=([^]*)$/.exec(part))
  if (pairs.some(pair => pair === null)) throw untrusted(mechanism, 'says what SCRAM does not know')
  return Object.fromEntries(pairs.map(pair => [pair?.[1], pair?.[2]])) as Partial<Record<string, string>>
}

const untrusted = (mechanism: string, what: string): CodedError =>
  new CodedError('SINK_UNREACHABLE', `${mechanism}: the server ${what}`)
