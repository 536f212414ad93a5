/** State by an Avro schema: what is stored, what an older schema's state becomes, and what is refused, naming actor and field. */
import t from 'tap'
import { Actor, type ActorClass, type AvroSchema } from '../../actors/index.ts'
import type { ActorDefinition } from '../../actors/definition-types.ts'
import { defineActor } from '../../actors/definition.ts'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'

const record = (...fields: readonly object[]): AvroSchema => ({ type: 'record', name: 'Account', fields })
const balance = { name: 'balance', type: 'int' }
const history = {
  name: 'history',
  type: { type: 'array', items: { type: 'record', name: 'Step', fields: [{ name: 'by', type: 'long' }] } }
}

class Account extends Actor {
  static actorName = 'Account'
  static schema: AvroSchema = record(balance, history)
  balance = 0
  history: { by: number }[] = []
  override receive(): void {
    this.balance++
  }
}

/** Wider, renamed, one new and one gone. */
class Later extends Actor {
  static actorName = 'Account'
  static schema: AvroSchema = record(
    { name: 'cents', aliases: ['balance'], type: 'long' },
    { name: 'currency', type: 'string', default: 'EUR' },
    { name: 'mark', type: 'bytes', default: '' }
  )
  cents = 0
  currency = ''
  mark = new Uint8Array()
  override receive(): void {
    this.cents++
  }
}

class Plain extends Actor {
  static actorName = 'Account'
  balance = 0
  history: { by: number }[] = []
  override receive(): void {
    this.balance++
  }
}

const of = (actor: unknown): ActorDefinition => defineActor(actor as ActorClass, 'accounts')

function stored(definition: ActorDefinition, fields: object): Uint8Array {
  const writer = new ByteWriter()
  definition.encode(Object.assign(definition.create(), fields), writer)
  return writer.take()
}

const read = (definition: ActorDefinition, bytes: Uint8Array, from: ActorDefinition): Record<string, unknown> =>
  definition.snapshot(definition.restore(new ByteReader(bytes), from.schema))

void t.test('what is stored comes back, and is what Avro writes', t => {
  const account = of(Account)
  const fields = { balance: 7, history: [{ by: 3 }, { by: 2 ** 40 }] }
  const bytes = stored(account, fields)
  t.equal(Buffer.from(bytes).toString('hex', 0, 2), '0e04')
  t.strictSame(read(account, bytes, account), fields)
  const restored = account.restore(new ByteReader(bytes), account.schema) as unknown as typeof fields
  t.equal(Object.getPrototypeOf(restored.history[0]), Object.prototype, 'plain objects, no classes of the library')
  account.rollback(restored as never, account.preImage(restored as never))
  t.strictSame(account.snapshot(restored as never), fields)
  t.match(JSON.parse(account.schema.avro ?? ''), { name: 'Account' })
  t.end()
})

void t.test('what an older schema wrote is resolved: defaults, aliases, wider numbers; what is gone is dropped', t => {
  const [account, later] = [of(Account), of(Later)]
  t.strictSame(later.accepts(account.schema), [])
  t.strictSame(read(later, stored(account, { balance: 7, history: [{ by: 1 }] }), account), {
    cents: 7,
    currency: 'EUR',
    mark: new Uint8Array()
  })
  const mark = Uint8Array.of(1, 2)
  const again = read(later, stored(later, { cents: 2 ** 50, currency: 'USD', mark }), later)
  t.strictSame(again, { cents: 2 ** 50, currency: 'USD', mark })
  t.equal((again['mark'] as Uint8Array).constructor, Uint8Array)
  t.end()
})

void t.test('a class takes up a schema, and gives it up', t => {
  const [account, bare] = [of(Account), of(Plain)]
  const fields = { balance: 7, history: [{ by: 1 }] }
  t.strictSame(account.accepts(bare.schema), [])
  t.strictSame(read(account, stored(bare, fields), bare), fields)
  t.strictSame(bare.accepts(account.schema), [])
  t.strictSame(read(bare, stored(account, fields), account), fields)
  t.match(of(Later).accepts(bare.schema), [/Account\.balance is stored but not in the class/, /Account\.history/])
  t.end()
})

void t.test('what cannot be resolved is refused before the start', t => {
  class Text extends Actor {
    static actorName = 'Account'
    static schema = record({ name: 'balance', type: 'string' })
    balance = ''
    override receive(): void {
      this.balance += '.'
    }
  }
  class Newer extends Actor {
    static actorName = 'Account'
    static schema = record(balance, { name: 'limit', type: 'int' })
    balance = 0
    limit = 0
    override receive(): void {
      this.balance++
    }
  }
  t.match(of(Text).accepts(of(Account).schema), [/^Account: what is stored cannot be read by static schema: .*int/])
  t.match(of(Newer).accepts(of(Account).schema), [/^Account: what is stored cannot be read by static schema: .*limit/])
  t.end()
})

void t.test('a schema that does not fit the class is refused, naming the field', t => {
  const wrong = (schema: unknown, more: object = {}): (() => unknown) => {
    class Odd extends Actor {
      static actorName = 'Odd'
      static schema = schema
      balance = 0
      override receive(): void {
        this.balance++
      }
    }
    return () => of(Object.assign(Odd, more))
  }
  t.throws(wrong(record()), { code: 'ACTOR_INVALID', message: /Odd\.balance is not in static schema/ })
  t.throws(wrong(record(balance, history)), { message: /static schema has the field history, which the class has not/ })
  t.throws(wrong(record({ name: 'balance', type: 'string' })), {
    message: /Odd\.balance is 0; static schema wants string/
  })
  t.throws(wrong('int'), { message: /static schema is not that of a record/ })
  t.throws(wrong('{"type":'), { message: /Odd: static schema: / })
  t.throws(wrong(record({ name: '__proto__', type: 'int' })), { message: /__proto__/ })
  t.end()
})

void t.test('a value that the schema does not take is named; damaged state is CORRUPT', t => {
  const account = of(Account)
  t.throws(() => stored(account, { balance: 1.5 }), {
    code: 'VALUE_NOT_STORABLE',
    message: 'Account.balance is 1.5; static schema wants int'
  })
  t.throws(() => stored(account, { history: [{ by: 'x' }] }), {
    message: /Account\.history\.0\.by is "x"; static schema wants long/
  })
  t.throws(() => stored(account, { history: new Map() }), { message: /Account\.history is of type Map/ })
  const bytes = stored(account, { balance: 7, history: [{ by: 3 }] })
  for (const damaged of [bytes.subarray(0, 2), new Uint8Array([...bytes, 1]), new Uint8Array(0)])
    t.throws(() => account.restore(new ByteReader(damaged), account.schema), { code: 'CORRUPT' })
  t.end()
})
