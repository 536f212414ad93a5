/** Orders that send to accounts: each order reserves money; an account refuses when it has none left. */
import { Actor, files, generator, job, json, type Context } from 'cairn'

interface OrderPlaced {
  order: string
  customer: string
  cents: number
  at: number
}
interface Receipt {
  customer: string
  order: string
  accepted: boolean
  left: number
}

/** Passes each order on once, however often it is placed, and tells its account. */
export class Order extends Actor {
  placed = 0

  receive(event: OrderPlaced, ctx: Context<{ order: string; repeats: number }>) {
    this.placed++
    if (this.placed === 1) ctx.send(Account, event.customer, { order: event.order, cents: event.cents })
    else ctx.emit({ order: event.order, repeats: this.placed - 1 })
  }
}

export class Account extends Actor {
  left = 100_000
  refused = 0

  receive(charge: { order: string; cents: number }, ctx: Context<Receipt>) {
    const accepted = charge.cents <= this.left
    if (accepted) this.left -= charge.cents
    else this.refused++
    ctx.emit({ customer: ctx.key, order: charge.order, accepted, left: this.left })
  }
}

export default job('orders', j => {
  const placed = j.source(
    'placed',
    generator<OrderPlaced>({ count: 20_000 }, n => ({
      order: `o${n % 15_000}`,
      customer: `c${n % 97}`,
      cents: 100 + ((n * 7919) % 900),
      at: n * 10
    })),
    { time: order => order.at }
  )
  const orders = placed.keyBy(order => order.order).actor(Order, { sends: [Account] })
  return {
    placed,
    repeats: orders.to('repeats', files('.cairn/orders/repeats', json<{ order: string; repeats: number }>())),
    receipts: j.actor(Account).to('receipts', files('.cairn/orders/receipts', json<Receipt>()))
  }
})
