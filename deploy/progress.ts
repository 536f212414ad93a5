/** What a running job tells the person in front of it: one line that is rewritten, or plain lines in a pipe. */
import { LatencyNews } from './latency-news.ts'
import type { JobStatus } from './running-job.ts'

/** Between two plain lines; a log grows by half a line a second. */
const plainMs = 2000
/** Between two drawings of the line. */
const drawMs = 200

export interface Screen {
  readonly isTTY: boolean
  readonly columns: number
  write(text: string): void
}

/** Standard error, so that output on standard output stays clean. `plain`: never rewrite a line. */
export function stderrScreen(plain: boolean): Screen {
  const { stderr } = process
  return {
    isTTY: stderr.isTTY && !plain && process.env['TERM'] !== 'dumb',
    get columns() {
      return stderr.columns > 0 ? stderr.columns : 80
    },
    write: text => void stderr.write(text)
  }
}

export class Progress {
  private readonly screen: Screen
  private readonly status: () => JobStatus
  private readonly now: () => number
  private readonly timer: NodeJS.Timeout
  private before: { readonly at: number; readonly events: number }
  private perSecond: number | undefined
  private readonly latency = new LatencyNews()

  constructor(screen: Screen, status: () => JobStatus, now: () => number = () => performance.now()) {
    this.screen = screen
    this.status = status
    this.now = now
    this.before = { at: now(), events: 0 }
    this.timer = setInterval(() => this.show(), screen.isTTY ? drawMs : plainMs)
  }

  show(): void {
    const news = this.latency.look(this.status().pace)
    if (news !== undefined) this.say(news.text)
    const text = this.line()
    const { screen } = this
    if (screen.isTTY) screen.write(`\r\u001b[K${text.slice(0, screen.columns - 1)}`)
    else screen.write(`${text}\n`)
  }

  /** A line of its own. */
  say(text: string): void {
    this.screen.write(this.screen.isTTY ? `\r\u001b[K${text}\n` : `${text}\n`)
  }

  /** Leaves the last figures on the screen. */
  close(): void {
    clearInterval(this.timer)
    this.perSecond = undefined
    this.before = { at: Infinity, events: 0 }
    this.say(this.line())
  }

  private line(): string {
    const status = this.status()
    const at = this.now()
    if (at - this.before.at >= 1000) {
      this.perSecond = ((status.events - this.before.events) * 1000) / (at - this.before.at)
      this.before = { at, events: status.events }
    }
    return progressLine(status, this.perSecond, Date.now())
  }
}

/**
 * What matters most comes first: a narrow terminal cuts the end.
 * @param perSecond events a second; undefined = not known yet
 */
export function progressLine(status: JobStatus, perSecond: number | undefined, wallMs: number): string {
  const parts: string[] = []
  if (perSecond !== undefined) parts.push(`${Math.round(perSecond)} events/s`)
  if (status.trouble !== undefined) parts.push(`no checkpoint completes: ${status.trouble}`)
  if (status.lag !== undefined) parts.push(`lag ${status.lag}`)
  if (status.checkpoint !== undefined) {
    const { epoch, completedAt } = status.checkpoint
    parts.push(`checkpoint ${epoch} (${(Math.max(0, wallMs - completedAt) / 1000).toFixed(1)} s ago)`)
  }
  if (status.watermark !== undefined) parts.push(`watermark ${timeText(status.watermark)}`)
  parts.push(`${status.recordsRead} read`, `${status.events} events`, `${status.keys} keys`)
  if (status.late > 0) parts.push(`${status.late} late`)
  if (status.deadLetters > 0) parts.push(`${status.deadLetters} dead letters`)
  if (status.quarantined > 0) parts.push(`${status.quarantined} in quarantine`)
  for (const sink of status.sinks) parts.push(`${sink.name} ${sink.published}`)
  return `${status.job}: ${parts.join(' · ')}`
}

/** Event times may lie outside what a Date can hold. */
function timeText(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().replace('.000Z', 'Z')
}
