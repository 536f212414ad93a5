/** From Kafka to Kafka, exactly once: money goes from account to account. docs/kafka.md says how it is run. */
import { Actor, job, json, kafka, type Context } from 'cairn'

interface Transfer {
  id: string
  from: string
  to: string
  cents: number
}
interface Booking {
  transfer: string
  account: string
  cents: number
  balance: number
}

/** Takes what it has, and tells the account that is given to. */
export class Payer extends Actor {
  balance = 100_000

  receive({ id, from, to, cents }: Transfer, ctx: Context<Booking>) {
    const paid = Math.min(cents, this.balance)
    this.balance -= paid
    if (paid > 0) ctx.send(Payee, to, { id, cents: paid })
    ctx.emit({ transfer: id, account: from, cents: -paid, balance: this.balance })
  }
}

export class Payee extends Actor {
  received = 0

  receive({ id, cents }: { id: string; cents: number }, ctx: Context<Booking>) {
    this.received += cents
    ctx.emit({ transfer: id, account: ctx.key, cents, balance: this.received })
  }
}

const bookings = kafka({ topic: 'bookings', value: json<Booking>(), key: booking => booking.account })

export default job(
  'transfers',
  j => {
    // The record's key names the transfer, as whoever wrote it saw to.
    const transfers = j.source(
      'transfers',
      kafka({
        topic: 'transfers',
        value: json<Omit<Transfer, 'id'>>(),
        read: ({ key, value }): Transfer => {
          if (key === undefined || value === undefined) throw new Error('a transfer has a key and a value')
          return { id: key, ...value }
        }
      }),
      { onError: 'dead-letter' }
    )
    const paid = transfers.keyBy(transfer => transfer.from).actor(Payer, { sends: [Payee] })
    return {
      transfers,
      paid: paid.to('paid', bookings),
      received: j.actor(Payee).to('received', bookings)
    }
  },
  {
    deadLetters: kafka({ topic: 'transfers-dead-letters', value: json() }).sink
  }
)
