/** Counts the visits of every user, and reports a user who has been quiet for half an hour of event time. */
import { Actor, files, job, json, lines, minutes, type Context } from 'cairn'

export interface Visit {
  user: string
  page: string
  at: string
}
export interface Report {
  user: string
  visits: number
  pages: string[]
}

/** One instance per user. Every field is durable: it survives a crash, and goes on where it was. */
export class Visitor extends Actor {
  visits = 0
  pages = new Set<string>()

  receive(visit: Visit, ctx: Context<Report>) {
    this.visits++
    this.pages.add(visit.page)
    ctx.timer('quiet', ctx.time + minutes(30))
  }

  override onTimer(_name: string, ctx: Context<Report>) {
    ctx.emit({ user: ctx.key, visits: this.visits, pages: [...this.pages] })
    ctx.forget()
  }
}

export default job('__NAME__', j => {
  const visits = j.source('visits', lines('visits.ndjson', json<Visit>()), {
    time: visit => new Date(visit.at),
    outOfOrder: '1m',
    onError: 'dead-letter'
  })
  const reports = visits.keyBy(visit => visit.user).actor(Visitor)
  return { visits, reports: reports.to('reports', files('reports', json<Report>())) }
})
