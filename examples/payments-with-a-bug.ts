/**
 * Payments that are charged at a bank, with two bugs that no test without crashes shows: `cairn simulate examples/payments-with-a-bug.ts`
 * finds both. `payments.ts` has them corrected.
 */
import { randomUUID } from 'node:crypto'
import { appendFile, mkdir } from 'node:fs/promises'
import { Actor, days, files, generator, job, json, minutes, service, type Context } from 'cairn'
import { invariant, simulationOf, standIn } from 'cairn/testing'

interface Payment {
  id: string
  customer: string
  cents: number
  at: number
}
interface Receipt {
  payment: string
  customer: string
  accepted: boolean
}

/** A bank carries out each reference once. Here it is a file. */
const bank = service('bank', {
  async charge(reference: string, { id, customer, cents }: Payment): Promise<void> {
    await mkdir('.cairn/payments-with-a-bug', { recursive: true })
    const line = JSON.stringify({ reference, payment: id, customer, cents })
    await appendFile('.cairn/payments-with-a-bug/bank.ndjson', `${line}\n`)
  }
})

const dailyLimit = 50_000

export class Customer extends Actor {
  day = 0
  spent = 0

  async receive(payment: Payment, ctx: Context<Receipt>) {
    // The first bug: after a crash the event is handled again, later, and maybe on another day.
    const day = Math.floor(Date.now() / days(1))
    if (day !== this.day) this.spent = 0
    this.day = day
    const accepted = this.spent + payment.cents <= dailyLimit
    if (accepted) {
      this.spent += payment.cents
      // The second: the bank takes the same payment, handled again, for another one.
      await bank.charge(randomUUID(), payment)
    }
    ctx.emit({ payment: payment.id, customer: ctx.key, accepted })
  }
}

const payments = job('payments-with-a-bug', j => {
  const payments = j.source(
    'payments',
    generator<Payment>({ count: 500 }, n => ({
      id: `p${n}`,
      customer: `c${(n * 31) % 17}`,
      cents: 100 + ((n * 7919) % 20_000),
      at: n * minutes(10)
    })),
    { time: payment => payment.at }
  )
  const receipts = payments.keyBy(payment => payment.customer).actor(Customer)
  return { payments, receipts: receipts.to('receipts', files('.cairn/payments-with-a-bug/receipts', json<Receipt>())) }
})
export default payments

export const simulation = simulationOf(payments, {
  services: [standIn(bank, () => ({ charge: () => undefined }))],
  invariants: [
    invariant('nobody spends more than the limit in a day', Customer, ({ spent }) => spent <= dailyLimit),
    invariant('each payment has one receipt', payments.handles.receipts, receipts => {
      return new Set(receipts.map(({ payment }) => payment)).size === receipts.length
    }),
    invariant('no payment is charged twice', bank, calls => {
      const references = new Map<string, string>()
      for (const { args } of calls) {
        const [reference, { id }] = args
        if ((references.get(id) ?? reference) !== reference) return `payment ${id} was charged under two references`
        references.set(id, reference)
      }
      return true
    })
  ]
})
