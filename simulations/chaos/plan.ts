/**
 * What is done to a run, and when: drawn from the seed before anything starts. Faults come in bursts, so that they meet one another,
 * with some calm between, so that the job gets on: on a busy machine a burst comes later than planned. A worker that cannot be struck
 * when its time comes (it is down already) hands it on to the next one.
 */
import { Prng } from '../../runtime/kernel/prng.ts'
import type { Cut } from './network.ts'

/** `worker`, `from`, `to`: indices; whoever is up there then, or the next one that is. */
export type Fault = { readonly at: number; readonly burst: number } & (
  | { readonly kind: 'kill'; readonly worker: number; readonly downMs: number }
  | { readonly kind: 'kill-all'; readonly downMs: number }
  /** Of whoever leads; `during`: waits until a checkpoint is under way, or has just been decided and is being published. */
  | { readonly kind: 'kill-leader'; readonly during: Moment; readonly downMs: number }
  | { readonly kind: 'pause'; readonly worker: number; readonly forMs: number }
  | { readonly kind: 'cut'; readonly from: number; readonly to: number; readonly how: Cut; readonly forMs: number }
  | { readonly kind: 'cut-nats'; readonly worker: number; readonly how: Cut; readonly forMs: number }
  | { readonly kind: 'restart-nats'; readonly empty: boolean; readonly downMs: number }
  | { readonly kind: 'wipe-disk'; readonly worker: number; readonly downMs: number }
  | { readonly kind: 'join' }
  | { readonly kind: 'drain' }
  /** One worker after the other is told to go, and started again. */
  | { readonly kind: 'rolling-restart' }
)
export type Moment = 'checkpoint' | 'publication' | 'anything'
export type FaultKind = Fault['kind']

export interface PlanOptions {
  readonly seed: number
  readonly durationMs: number
  readonly workers: number
  /** Instead of what the duration asks for. */
  readonly counts?: Partial<Counts>
}

/** In ten minutes. */
export type Counts = Readonly<Record<FaultKind, number>>
export const inTenMinutes: Counts = {
  kill: 56,
  'kill-all': 1,
  'kill-leader': 7,
  pause: 22,
  cut: 18,
  'cut-nats': 8,
  'restart-nats': 4,
  'wipe-disk': 5,
  join: 5,
  drain: 5,
  'rolling-restart': 2
}
const burst = 4
/** Of the time between two bursts: from the first fault of one to its last. */
const burstShare = 0.35
/** Faults end well before the plan does. */
const startShare = 0.04
const endShare = 0.94

/** Each kind at least once, however short; whole minutes in proportion. */
export function countsFor(durationMs: number): Counts {
  const scale = durationMs / 600_000
  const counts = Object.entries(inTenMinutes).map(([kind, count]) => [kind, Math.max(1, Math.ceil(count * scale))])
  return Object.fromEntries(counts) as Counts
}

/** In the order of time. */
export function drawPlan({ seed, durationMs, workers, counts }: PlanOptions): Fault[] {
  const random = new Prng(`chaos/${seed}`)
  const wanted = { ...countsFor(durationMs), ...counts }
  const made = Object.entries(wanted).flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, i) => make(kind as FaultKind, i, workers, random.fork(`${kind}/${i}`)))
  )
  shuffle(made, random)
  alternate(made)
  const bursts = Math.max(1, Math.ceil(made.length / burst))
  const [start, end] = [durationMs * startShare, durationMs * endShare]
  const distance = (end - start) / bursts
  return made
    .map((fault, i) => {
      const number = Math.floor(i / burst)
      const at = start + (number + burstShare * random.next()) * distance
      return { ...fault, at: Math.round(at), burst: number } as Fault
    })
    .sort((a, b) => a.at - b.at)
}

type Unplaced = Fault extends infer F ? (F extends Fault ? Omit<F, 'at' | 'burst'> : never) : never

function make(kind: FaultKind, i: number, workers: number, random: Prng): Unplaced {
  const worker = random.int(workers)
  const downMs = [0, 300, 1_500, 4_000][random.int(4)] as number
  switch (kind) {
    case 'kill':
    case 'wipe-disk':
      return { kind, worker, downMs }
    case 'kill-all':
      return { kind, downMs }
    case 'kill-leader':
      return { kind, during: (['checkpoint', 'publication', 'anything'] as const)[i % 3] as Moment, downMs }
    case 'pause':
      // Longer than all by which a worker is given up: heartbeats (2 s here), lease (6 s), connections (5 s).
      return { kind, worker, forMs: 7_000 + random.int(3_000) }
    case 'cut': {
      const to = (worker + 1 + random.int(workers - 1)) % workers
      return { kind, from: worker, to, how: cutOf(i), forMs: 500 + random.int(5_000) }
    }
    case 'cut-nats':
      return { kind, worker, how: cutOf(i), forMs: 1_000 + random.int(8_000) }
    case 'restart-nats':
      return { kind, empty: i % 2 === 0, downMs: random.int(5_000) }
    case 'join':
    case 'drain':
    case 'rolling-restart':
      return { kind }
  }
}

const cutOf = (i: number): Cut => (['cut', 'swallow-up', 'freeze', 'swallow-down'] as const)[i % 4] as Cut

/** Joins and drains in turn, so that neither everybody is there nor nobody. */
function alternate(list: Unplaced[]): void {
  const places = list.flatMap(({ kind }, i) => (kind === 'join' || kind === 'drain' ? [i] : []))
  const left = { join: 0, drain: 0 }
  for (const i of places) left[list[i]?.kind as 'join' | 'drain']++
  for (const [n, i] of places.entries()) {
    const wanted = n % 2 === 0 ? 'join' : 'drain'
    const kind = left[wanted] > 0 ? wanted : wanted === 'join' ? 'drain' : 'join'
    left[kind]--
    list[i] = { kind }
  }
}

function shuffle<T>(list: T[], random: Prng): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[list[i], list[j]] = [list[j] as T, list[i] as T]
  }
}
