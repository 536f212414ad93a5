/**
 * The control plane's bus, NATS-shaped. Everything here is advice (DESIGN 5.2): what it loses, repeats, reorders or tells too late may
 * delay the cluster but never corrupt it.
 */

export interface ControlBus {
  /** At most once, possibly late, repeated or out of order. Never throws; lost while the bus is away. */
  publish(subject: string, bytes: Uint8Array): void
  /** Messages published to exactly this subject from now on, one's own included. Returns what ends it. */
  subscribe(subject: string, deliver: (bytes: Uint8Array) => void): () => void
  /** A bucket whose keys vanish when they were not written for its time to live. */
  readonly leases: LeaseBucket
  /** As far as this process knows. */
  readonly connected: boolean
  close(): Promise<void>
}

export interface LeaseBucket {
  /** May be stale. Rejects when no answer comes. */
  get(key: string): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined>
  /**
   * Writes if the key's newest revision is `revision` (undefined = the key is not there). `conflict`: it is another. Rejects when no
   * answer comes: it may or may not have been written.
   */
  put(key: string, value: Uint8Array, revision: number | undefined): Promise<{ readonly revision: number } | 'conflict'>
  /** Removes the key if its newest revision is `revision`; otherwise nothing happens. Rejects when no answer comes. */
  remove(key: string, revision: number): Promise<void>
}
