/**
 * A thread that tells the leader that this worker lives while its event loop is busy: a handler that computes for ten seconds is no
 * reason to take its work away. One that has stood still for longer than `hungAfterMs` is told of no more, and is lost like one that died.
 *
 *   event loop ── time of its last turn (shared memory) ──► thread ── pulses, over a connection of its own ──► leader
 */
import { Worker } from 'node:worker_threads'
import type { NatsOptions } from '../../runtime/adapters/nats/nats-options.ts'

export interface HeartSettings {
  readonly nats: NatsOptions
  readonly key: Uint8Array
  /** Subject without the prefix. */
  readonly subject: string
  /** One incarnation. */
  readonly worker: string
  readonly heartbeatMs: number
  readonly hungAfterMs: number
}

/** What the thread is given. */
export interface HeartData extends HeartSettings {
  /** Nanoseconds of `process.hrtime`, which is the same in all threads. */
  readonly turned: BigInt64Array
}

export interface Heart {
  stop(): Promise<void>
}

/** @param stood told for how long the event loop stood still, when that was long enough for others to notice */
export function startHeart(settings: HeartSettings, stood: (ms: number) => void): Heart {
  const turned = new BigInt64Array(new SharedArrayBuffer(8))
  let last = process.hrtime.bigint()
  const turn = (): void => {
    const now = process.hrtime.bigint()
    const ms = Number(now - last) / 1e6
    last = now
    Atomics.store(turned, 0, now)
    if (ms > 4 * settings.heartbeatMs) stood(ms)
  }
  turn()
  const timer = setInterval(turn, settings.heartbeatMs / 2)
  const { troubled: _, ...nats } = settings.nats
  const thread = new Worker(new URL('./heart-thread.js', import.meta.url), {
    workerData: { ...settings, nats, turned } satisfies HeartData
  })
  // Reports say the same; without the thread a busy worker is taken for a lost one, no more.
  thread.on('error', () => undefined)
  thread.unref()
  return {
    stop: async () => {
      clearInterval(timer)
      await thread.terminate()
    }
  }
}
