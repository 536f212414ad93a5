/** What the leader of a cluster knows of workers, and of the generation that they run. */
import type { Assignment } from './assignment.ts'
import type { CheckpointLeader } from './checkpoint-leader.ts'
import type { Directive, Report } from './cluster-messages.ts'

/** A worker that was heard. */
export interface Member {
  readonly report: Report
  /** When it was heard first. */
  readonly firstAt: number
  heardAt: number
  /** Since then it reported at every third heartbeat at least: its event loop turns. */
  steadySince: number
  reportedAt: number
  /** Since then it has run its generation. */
  readonly runsSince: number
  /** Another one lost its connection to it then, and it was not heard since. */
  doubtedAt: number | undefined
}

/** A generation that runs. */
export interface Running {
  readonly generation: number
  readonly assignment: Assignment
  readonly workers: readonly string[]
  readonly checkpoints: CheckpointLeader
  readonly since: number
  trigger: Directive['trigger']
  abandoned: number
  decided: Directive['decided']
  timeouts: number
  /** Names of those that were asked for. */
  readonly savepoints: Set<string>
  /** When all slots were. */
  recoveredAt: number | undefined
  /** Why it is stopped as planned. */
  stopping: 'reassign' | 'drain' | undefined
}

export const isRunning = (member: Member | undefined, { generation }: Running): boolean =>
  member?.report.generation === generation && member.report.state === 'running'
