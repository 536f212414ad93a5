/**
 * The job of the chaos runs: two exchanges, a cycle, windows and timers, state in two actors, two exactly-once sinks. What it puts out does
 * not depend on how its partitions interleave, but for the order in which a ledger meets its senders, which the output shows.
 *
 *   commands ─→ Account ⇄ Ledger ⟲ ──→ sink "ledgers"
 *                 │ timers: "released" ─→ sink "accounts"
 *                 └─→ windows by region ─→ sink "ledgers"
 */
import { Actor, count, files, job, json, lines, output, sum, tumbling, type Context } from 'cairn'

/** How many files `in/commands-<n>.ndjson` there are. */
const partitions = 6
const holdMs = 3_000

export interface Command {
  readonly kind: 'command'
  readonly id: string
  readonly account: string
  readonly to: string
  readonly amount: number
  /** Ledgers that pass it on before the account hears of it. */
  readonly hops: number
  readonly hold: boolean
  readonly at: number
}
interface Receipt {
  readonly kind: 'receipt'
  readonly amount: number
}
interface Transfer {
  readonly id: string
  readonly account: string
  readonly amount: number
  readonly hop: number
  readonly hops: number
  /** The sender, and how many it had sent on then. */
  readonly via: string
  readonly sequence: number
}
interface Entry {
  readonly kind: 'entry'
  readonly id: string
  readonly account: string
  readonly n: number
  readonly spent: number
  readonly amount: number
}
interface Released {
  readonly kind: 'released'
  readonly id: string
  readonly account: string
  readonly amount: number
}
type Booked = Transfer & {
  readonly kind: 'booked'
  readonly ledger: string
  readonly n: number
  readonly received: number
}

class Account extends Actor {
  static readonly actorName = 'Account'
  static readonly outputs = { released: output<Released>() }
  commands = 0
  spent = 0
  receipts = 0
  confirmed = 0
  released = 0
  held = new Map<string, number>()

  receive(event: Command | Receipt, ctx: Context<Entry>): void {
    if (event.kind === 'receipt') {
      this.receipts++
      this.confirmed += event.amount
      return
    }
    const { id, amount, hops, to } = event
    this.commands++
    this.spent += amount
    if (event.hold) {
      this.held.set(id, amount)
      ctx.timer(id, event.at + holdMs)
    }
    ctx.send(Ledger, to, { id, account: ctx.key, amount, hop: 0, hops, via: ctx.key, sequence: this.commands })
    ctx.emit({ kind: 'entry', id, account: ctx.key, n: this.commands, spent: this.spent, amount })
  }

  override onTimer(id: string, ctx: Context<Entry>): void {
    const amount = this.held.get(id) ?? NaN
    this.held.delete(id)
    this.released += amount
    ctx.emitTo(Account.outputs.released, { kind: 'released', id, account: ctx.key, amount })
  }
}

class Ledger extends Actor {
  static readonly actorName = 'Ledger'
  transfers = 0
  received = 0

  receive(transfer: Transfer, ctx: Context<Booked>): void {
    const { id, account, amount, hop, hops } = transfer
    this.transfers++
    this.received += amount
    ctx.emit({ kind: 'booked', ...transfer, ledger: ctx.key, n: this.transfers, received: this.received })
    if (hop === hops) ctx.send(Account, account, { kind: 'receipt', amount })
    else
      ctx.send(Ledger, nextLedger(ctx.key), {
        id,
        account,
        amount,
        hop: hop + 1,
        hops,
        via: ctx.key,
        sequence: this.transfers
      })
  }
}

const ledgers = 60
const nextLedger = (key: string): string => `l${(Number(key.slice(1)) * 7 + 11) % ledgers}`

const inputs = Array.from({ length: partitions }, (_, n) => `in/commands-${n}.ndjson`)

export default job(
  'chaos',
  j => {
    const commands = j.source('commands', lines(inputs, json<Command>()), {
      time: command => command.at,
      outOfOrder: '2s',
      pace: '1s'
    })
    const accounts = commands.keyBy(command => command.account).actor(Account, { sends: [Ledger] })
    const regions = accounts
      .keyBy(entry => Number(entry.account.slice(1)) % 10)
      .window(tumbling('5s'), { name: 'regions' })
      .aggregate({ count: count(), sum: sum((entry: Entry) => entry.amount) })
    return {
      accounts: accounts.union(accounts.output('released')).to('accounts', files('out/accounts', json())),
      ledgers: j
        .actor(Ledger, { sends: [Account, Ledger] })
        .union(regions)
        .to('ledgers', files('out/ledgers', json()))
    }
  },
  { slots: 12, interval: '500ms' }
)
