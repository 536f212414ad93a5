/** What a page of metrics is made from: one process's part in a job, at one moment. */
import type { PaceGauges } from '../../runtime/core/checkpoint-pace.ts'
import type { GenerationGauges } from '../../runtime/core/worker-gauges.ts'

export type WorkerState = 'connecting' | 'idle' | 'starting' | 'running' | 'failed'

export interface Observed {
  readonly job: string
  readonly worker: string
  readonly state: WorkerState
  /** It was told to go. */
  readonly leaving: boolean
  /** The newest generation it knows; 0 = none. */
  readonly generation: number
  readonly generations: number
  readonly failures: number
  readonly leads: boolean
  /** To what leader and workers talk over; undefined where there is nothing of the kind. */
  readonly connected: boolean | undefined
  /** Of the generation that runs. */
  readonly gauges: GenerationGauges | undefined
  /** How often checkpoints are taken, where whoever decides it is here and a generation runs. */
  readonly pace: PaceGauges | undefined
  /** Why it does not work, where that is known. */
  readonly trouble: string | undefined
}

/** Whether this process does its part in the job, and in words how. */
export function readiness({ state, leaving, connected, generation, leads, trouble }: Observed): {
  readonly ready: boolean
  readonly text: string
} {
  const away = connected === false ? ', NATS is away' : ''
  if (state === 'running' && !leaving)
    return { ready: true, text: `running in generation ${generation}${leads ? ', leads' : ''}${away}` }
  const why = trouble === undefined ? '' : `: ${trouble}`
  if (leaving) return { ready: false, text: `draining${why}` }
  switch (state) {
    case 'connecting':
      return { ready: false, text: `not connected${why}` }
    case 'failed':
      return { ready: false, text: `generation ${generation} failed here${why}${away}` }
    case 'starting':
      return { ready: false, text: `restoring for generation ${generation}${away}` }
    default:
      if (connected === false) return { ready: false, text: 'not connected: NATS is away' }
      return { ready: false, text: generation === 0 ? 'waiting for a leader' : 'waiting for a share of the job' }
  }
}
