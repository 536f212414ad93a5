/** What the compose file and the Kubernetes manifests run: made-up requests, counted by shop. It never ends by itself.
 * Totals go to the folder SALES_FOLDER, the same for all workers. */
import { Actor, files, generator, job, json, type Context } from 'cairn'

interface Sale {
  readonly shop: string
  readonly cents: number
  readonly at: number
}

const pause = new Int32Array(new SharedArrayBuffer(4))

/** About ten thousand a second from each of six partitions. */
function sale(n: number, partition: number): Sale {
  if (n % 100 === 0) Atomics.wait(pause, 0, 0, 10)
  return { shop: `shop-${(n * 7 + partition) % 200}`, cents: 100 + ((n * 7919) % 900), at: n }
}

export class Shop extends Actor {
  sales = 0
  cents = 0

  receive(event: Sale, ctx: Context<{ shop: string; sales: number; cents: number }>) {
    this.sales++
    this.cents += event.cents
    if (this.sales % 1000 === 0) ctx.emit({ shop: ctx.key, sales: this.sales, cents: this.cents })
  }
}

export default job(
  'sales',
  j => {
    const sales = j.source('sales', generator<Sale>({ count: Number.MAX_SAFE_INTEGER, partitions: 6 }, sale), {
      time: each => each.at
    })
    return {
      totals: sales
        .keyBy(each => each.shop)
        .actor(Shop)
        .to('totals', files(process.env['SALES_FOLDER'] ?? '/data/totals', json()))
    }
  },
  { slots: 12, interval: '1s' }
)
