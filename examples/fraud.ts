/** Fraud on transfers: an account that behaves unlike itself is held for an hour, and its transfers wait for a person. */
import { Actor, files, generator, hours, job, json, minutes, output, type Context } from 'cairn'

export interface Transfer {
  from: string
  to: string
  cents: number
  at: number
}
export interface Alert {
  account: string
  reason: string
  at: number
}

export class Account extends Actor {
  static outputs = { held: output<Transfer>() }
  transfers = 0
  meanCents = 0
  payees = new Set<string>()
  recent: number[] = []
  heldUntil = -Infinity

  receive(transfer: Transfer, ctx: Context<Alert>) {
    // Asked of the event's own time, not of a timer, which waits for the watermark: the answer is the same on every run.
    if (ctx.time < this.heldUntil) {
      ctx.emitTo(Account.outputs.held, transfer)
      return
    }
    this.recent = [...this.recent.filter(at => at > ctx.time - minutes(1)), ctx.time].slice(-5)
    const reason = this.suspicion(transfer)
    if (reason !== undefined) {
      this.heldUntil = ctx.time + hours(1)
      this.recent = []
      ctx.emit({ account: ctx.key, reason, at: ctx.time })
      ctx.emitTo(Account.outputs.held, transfer)
      return
    }
    this.transfers++
    this.meanCents += (transfer.cents - this.meanCents) / this.transfers
    this.payees.add(transfer.to)
  }

  suspicion({ to, cents }: Transfer): string | undefined {
    if (this.recent.length === 5) return 'five transfers within a minute'
    if (this.transfers >= 5 && cents > 10 * this.meanCents && !this.payees.has(to))
      return 'ten times the usual amount to somebody new'
    return undefined
  }
}

/** 50 accounts that pay four friends; every 997th transfer is a thief's, and account 13 has been taken over by a script. */
const made = (n: number): Transfer => ({
  from: n % 401 < 6 ? 'account 13' : `account ${n % 50}`,
  to: n % 997 === 0 ? `thief ${n}` : `friend ${(n * 7) % 4}`,
  cents: n % 997 === 0 ? 900_000 : 1000 + ((n * 7919) % 4000),
  at: n * 5000
})

export default job('fraud', j => {
  const transfers = j.source('transfers', generator({ count: 20_000 }, made), { time: transfer => transfer.at })
  const accounts = transfers.keyBy(transfer => transfer.from).actor(Account)
  return {
    transfers,
    alerts: accounts.to('alerts', files('.cairn/fraud/alerts', json<Alert>())),
    held: accounts.output('held').to('held', files('.cairn/fraud/held', json<Transfer>()))
  }
})
