/** What joins the processes of a chaos run, and what cuts them off from one another. */

/**
 * `cut`: nothing passes, and who calls is refused at once; what stood is broken, or hears nothing any more. `freeze`: nothing passes,
 * nothing ends. `swallow-up`, `swallow-down`: what goes in one direction is thrown away: from the caller (of two workers the one whose
 * name comes first; of a worker and NATS the worker), and to it.
 */
export type Cut = 'cut' | 'freeze' | 'swallow-up' | 'swallow-down'

/** Where a worker is, and how it reaches the others. */
export interface Place {
  /** `host:port` of its data channels, and what others are to call. */
  readonly listen: string
  readonly advertise: string
  /** `host:port` */
  readonly nats: string
  /** The command that runs node there, with its arguments; empty: as it is. */
  readonly within: readonly string[]
}

export interface ChaosNetwork {
  readonly name: NetworkName
  /** For a worker that has not been there before. */
  place(worker: string): Promise<Place>
  /** Between two workers, whoever of them connects. Returns what heals it. */
  cut(a: string, b: string, how: Cut): () => void
  /** Returns what heals it. */
  cutNats(worker: string, how: Cut): () => void
  /** Everything passes again. */
  heal(): void
  close(): Promise<void>
}

export const networkNames = ['proxies', 'namespaces'] as const
export type NetworkName = (typeof networkNames)[number]
