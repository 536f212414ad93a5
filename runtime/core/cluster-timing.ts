/** How long those who work together wait for one another. */
export interface ClusterTiming {
  /** How often reports and directives are repeated. */
  readonly heartbeatMs: number
  /** A worker that was not heard for so long is lost. */
  readonly lostAfterMs: number
  /** A connection between two workers over which nothing comes for so long, though both live, is dead. */
  readonly silentAfterMs: number
  /** How long a new leader waits for workers to be heard, unless all that ran the last generation were. */
  readonly gatherMs: number
  /** A generation of which a worker does not run after so long is given up. */
  readonly startTimeoutMs: number
  readonly checkpointTimeoutMs: number
}

/** Heartbeats in which a worker that lives is heard. More: a crash is noticed later; fewer: a lost message makes it one. */
const doubtHeartbeats = 3

/** For so long somebody whose connection broke is waited for. */
export const doubtMs = ({ heartbeatMs, lostAfterMs }: ClusterTiming): number =>
  Math.min(lostAfterMs, doubtHeartbeats * heartbeatMs)
