/** What a worker says: lines for people on a terminal, one JSON object a line elsewhere. */
import type { ClusterWorker } from '../../runtime/shell/cluster-worker.ts'
import type { PaceGauges } from '../../runtime/core/checkpoint-pace.ts'
import type { Restored } from '../../runtime/core/worker-gauges.ts'
import { LatencyNews } from '../latency-news.ts'
import { cell } from '../output.ts'
import { restoredText } from '../restored-text.ts'
import { logEvents, logLevels, type LogEvent, type LogLevel } from './log-events.ts'

export interface WorkerLogSettings {
  readonly worker: string
  readonly job: string
  readonly format: 'text' | 'json'
  /** What is less than that is not said. */
  readonly level: LogLevel
  /** Milliseconds of a clock that does not jump; default: the process's. */
  readonly elapsed?: () => number
}

/** Between two looks at the worker. */
const watchMs = 200
/** Whoever reaches the port can be refused as often as he likes; more lines than one in so long would let him fill the disk. */
const refusalsMs = 10_000

/** What a look at the worker sees. */
interface Seen {
  readonly state: string
  readonly generation: number
  readonly leads: boolean
  readonly connected: boolean
  readonly resignation: string | undefined
  readonly gaveUp: string | undefined
  /** Of the generation that runs. */
  readonly abandoned: number
}

export class WorkerLog {
  private readonly settings: WorkerLogSettings
  private readonly least: number
  private refusedAt = -Infinity
  private unsaid = 0
  /** Generation whose state was told of. */
  private storeOf = 0

  constructor(settings: WorkerLogSettings) {
    this.settings = settings
    this.least = logLevels.indexOf(settings.level)
  }

  says(event: LogEvent): boolean {
    return logLevels.indexOf(logEvents[event]) >= this.least
  }

  /** A data connection was closed because of what it said, or did not. */
  refused(reason: string): void {
    const now = (this.settings.elapsed ?? (() => performance.now()))()
    if (now - this.refusedAt < refusalsMs) {
      this.unsaid++
      return
    }
    const others = this.unsaid === 0 ? {} : { others: this.unsaid }
    this.refusedAt = now
    this.unsaid = 0
    this.say('connection.refused', `a data connection was refused: ${reason}`, others)
  }

  /** @param more fields of the JSON object; the names above them are taken */
  say(event: LogEvent, message: string, more: Readonly<Record<string, unknown>> = {}): void {
    if (!this.says(event)) return
    const { worker, job, format } = this.settings
    const time = new Date().toISOString()
    const level = logEvents[event]
    const own = { time, level, event, job, worker, message }
    const line =
      format === 'text' ? `${time} ${level} ${worker}: ${cell(message)}` : JSON.stringify({ ...own, ...more, ...own })
    process.stderr.write(`${line}\n`)
  }

  /** Tells each change of what it does. Returns what ends it. */
  watch(worker: ClusterWorker, connected: () => boolean): () => void {
    let before: Seen = {
      state: '',
      generation: 0,
      leads: false,
      connected: true,
      gaveUp: undefined,
      resignation: undefined,
      abandoned: 0
    }
    let epoch = 0
    const latency = new LatencyNews()
    const look = (): void => {
      const now: Seen = {
        state: worker.phase,
        generation: worker.generationNumber,
        leads: worker.leads,
        connected: connected(),
        resignation: worker.resignation,
        gaveUp: worker.leadership?.lastFailure,
        abandoned: worker.generation?.worker.abandonedEpochs ?? 0
      }
      this.tell(before, now, worker)
      this.tellLatency(latency, worker.leadership?.pace)
      if (this.says('checkpoint.completed')) epoch = this.tellCheckpoint(worker, epoch)
      before = now
    }
    worker.onFailure = failure => this.say('generation.failed', failure, { generation: worker.generationNumber })
    look()
    const timer = setInterval(look, watchMs)
    return () => clearInterval(timer)
  }

  private tell(before: Seen, now: Seen, worker: ClusterWorker): void {
    const { state, generation, leads, connected, resignation, gaveUp, abandoned } = now
    if (state !== before.state || generation !== before.generation)
      this.say('worker.state', `${state} in generation ${generation}`, { state, generation })
    const restored = worker.generation?.restored
    if (restored !== undefined && generation !== this.storeOf) this.tellStore(restored, generation)
    if (leads !== before.leads)
      if (leads) this.say('leader.elected', 'leads')
      else this.say('leader.ended', 'leads no more')
    if (connected !== before.connected)
      if (connected) this.say('control.back', 'NATS is back')
      else this.say('control.away', 'NATS is away; events flow, checkpoints wait')
    if (resignation !== undefined && resignation !== before.resignation)
      this.say('leader.resigned', `gave up the lead: ${resignation}`)
    if (gaveUp !== undefined && gaveUp !== before.gaveUp)
      this.say('generation.given-up', `a generation was given up: ${gaveUp}`)
    if (abandoned > (generation === before.generation ? before.abandoned : 0)) {
      const declined = worker.generation?.worker.status.declined
      const why = declined === undefined ? 'it took too long, or another worker could not write' : declined.message
      this.say('checkpoint.failed', `a checkpoint was given up: ${why}`, { generation })
    }
  }

  private tellStore(restored: Restored, generation: number): void {
    this.storeOf = generation
    const text = restoredText(restored)
    if (text === undefined) return
    const { changes, whole, durationMs, ...parts } = restored
    this.say('store.opened', text, {
      generation,
      ...parts,
      caughtUpRecords: changes.records,
      caughtUpBytes: changes.bytes,
      fetchedRecords: whole.records,
      fetchedBytes: whole.bytes,
      durationMs: Math.round(durationMs)
    })
  }

  private tellLatency(latency: LatencyNews, pace: PaceGauges | undefined): void {
    const news = latency.look(pace)
    if (news === undefined || pace?.goal === undefined) return
    const { latencyMs, share, expectedMs } = pace.goal
    this.say(news.kept ? 'latency.kept' : 'latency.missed', news.text, {
      goalMs: latencyMs,
      share,
      expectedMs: Math.round(expectedMs),
      intervalMs: Math.round(pace.intervalMs)
    })
  }

  private tellCheckpoint({ generation }: ClusterWorker, epoch: number): number {
    const last = generation?.shell.gauges.checkpoints.last
    if (last === undefined || last.epoch === epoch) return epoch
    const { durationMs, bytes } = last
    this.say('checkpoint.completed', `checkpoint ${last.epoch}`, {
      epoch: last.epoch,
      durationMs: Math.round(durationMs),
      bytes
    })
    return last.epoch
  }
}
