/** Who does not know the job's key is not heard, whatever it sends. */
import t from 'tap'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { jobKey } from '../../../checkpoint/job-key.ts'
import { SignedBus } from '../../../runtime/adapters/signed-bus.ts'
import type { ControlBus } from '../../../runtime/ports/control-bus.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'

/** A bus on which everybody hears everything at once. */
class OpenBus implements ControlBus {
  readonly leases = {
    get: () => Promise.resolve(undefined),
    put: () => Promise.resolve('conflict' as const),
    remove: () => Promise.resolve()
  }
  readonly connected = true
  readonly sent: { readonly subject: string; readonly bytes: Uint8Array }[] = []
  private readonly listeners = new Map<string, ((bytes: Uint8Array) => void)[]>()

  publish(subject: string, bytes: Uint8Array): void {
    this.sent.push({ subject, bytes: bytes.slice() })
    for (const deliver of this.listeners.get(subject) ?? []) deliver(bytes)
  }
  subscribe(subject: string, deliver: (bytes: Uint8Array) => void): () => void {
    this.listeners.set(subject, [...(this.listeners.get(subject) ?? []), deliver])
    return () => undefined
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

const text = new TextEncoder()
const key = text.encode('0123456789abcdef0123456789abcdef')

function heardOn(open: OpenBus, subject: string): string[] {
  const heard: string[] = []
  new SignedBus(open, key).subscribe(subject, bytes => heard.push(new TextDecoder().decode(bytes)))
  return heard
}

void t.test('workers with the same key hear each other, empty messages too', t => {
  const open = new OpenBus()
  const heard = heardOn(open, 'orders.reports')
  const other = new SignedBus(open, key)
  other.publish('orders.reports', text.encode('hello'))
  other.publish('orders.reports', new Uint8Array(0))
  t.same(heard, ['hello', ''])
  t.end()
})

void t.test('strangers are not heard: no signature, another key, another subject, any bit flipped', t => {
  const open = new OpenBus()
  const heard = heardOn(open, 'orders.directives')
  open.publish('orders.directives', text.encode('obey'))
  open.publish('orders.directives', new Uint8Array(0))
  open.publish('orders.directives', new Uint8Array(32))
  new SignedBus(open, text.encode('another key')).publish('orders.directives', text.encode('obey'))
  new SignedBus(open, key).publish('orders.reports', text.encode('obey'))
  const moved = open.sent.at(-1)?.bytes as Uint8Array
  open.publish('orders.directives', moved)
  t.same(heard, [])

  new SignedBus(open, key).publish('orders.directives', text.encode('obey'))
  t.same(heard, ['obey'])
  const good = open.sent.at(-1)?.bytes as Uint8Array
  for (let bit = 0; bit < good.length * 8; bit++) {
    const flipped = good.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
    open.publish('orders.directives', flipped)
  }
  for (let length = 0; length < good.length; length++) open.publish('orders.directives', good.subarray(0, length))
  t.same(heard, ['obey'])
  t.end()
})

void t.test('a job has one key, whoever makes it first; who only looks makes none', async t => {
  const files = new MemoryFiles()
  const storage = new DirectoryStorage(files, '/job')
  await t.rejects(jobKey(storage), { code: 'NOT_FOUND' })
  const make = (fill: number) => (count: number) => new Uint8Array(count).fill(fill)
  const [one, other] = await Promise.all([jobKey(storage, make(1)), jobKey(storage, make(2))])
  t.same(one, other)
  t.same(await jobKey(storage), one)
  t.same(await jobKey(storage, make(3)), one)
  await files.writeSynced('/job/job-key', new Uint8Array(5))
  await t.rejects(jobKey(storage), { code: 'CORRUPT', message: '"job-key" has 5 bytes instead of 32' })
})
