/** What a worker says: lines for people on a terminal, one JSON object a line elsewhere. */
import type { ClusterWorker } from '../../runtime/shell/cluster-worker.ts'

type Level = 'info' | 'warn'

/** Between two looks at the worker. */
const watchMs = 200
/** Whoever reaches the port can be refused as often as he likes; more lines than one in so long would let him fill the disk. */
const refusalsMs = 10_000

export class WorkerLog {
  private readonly name: string
  private readonly elapsed: () => number
  private refusedAt = -Infinity
  private unsaid = 0

  constructor(name: string, elapsed = (): number => performance.now()) {
    this.name = name
    this.elapsed = elapsed
  }

  /** A data connection was closed because of what it said, or did not. */
  refused(reason: string): void {
    const now = this.elapsed()
    if (now - this.refusedAt < refusalsMs) {
      this.unsaid++
      return
    }
    const others = this.unsaid === 0 ? {} : { others: this.unsaid }
    this.refusedAt = now
    this.unsaid = 0
    this.say('warn', `a data connection was refused: ${reason}`, others)
  }

  say(level: Level, message: string, more: Readonly<Record<string, unknown>> = {}): void {
    const time = new Date().toISOString()
    const line = process.stderr.isTTY
      ? `${time} ${level} ${this.name}: ${message}`
      : JSON.stringify({ time, level, worker: this.name, message, ...more })
    process.stderr.write(`${line}\n`)
  }

  /** Tells each change of what it does. Returns what ends it. */
  watch(worker: ClusterWorker, connected: () => boolean): () => void {
    let before = {
      doing: '',
      leads: false,
      connected: true,
      gaveUp: undefined as string | undefined,
      resignation: undefined as string | undefined
    }
    const look = (): void => {
      const { phase, generationNumber, leads, resignation } = worker
      const gaveUp = worker.leadership?.lastFailure
      const doing = `${phase} in generation ${generationNumber}`
      const now = { doing, leads, connected: connected(), gaveUp, resignation }
      if (now.doing !== before.doing) this.say('info', now.doing, { state: phase, generation: generationNumber })
      if (now.leads !== before.leads) this.say('info', now.leads ? 'leads' : 'leads no more')
      if (now.connected !== before.connected)
        this.say(
          now.connected ? 'info' : 'warn',
          now.connected ? 'NATS is back' : 'NATS is away; events flow, checkpoints wait'
        )
      if (resignation !== undefined && resignation !== before.resignation)
        this.say('warn', `gave up the lead: ${resignation}`)
      if (gaveUp !== undefined && gaveUp !== before.gaveUp) this.say('warn', `a generation was given up: ${gaveUp}`)
      before = now
    }
    worker.onFailure = failure => this.say('warn', failure)
    look()
    const timer = setInterval(look, watchMs)
    return () => clearInterval(timer)
  }
}
