/** What a running job tells about itself; plain integers, no per-event calls. */
export interface Telemetry {
  /** Structured notice for people: `level`, a sentence, and fields. */
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): void
}

/** What a span is about. */
export type Traced =
  | {
      readonly kind: 'record'
      readonly job: string
      readonly stage: string
      /** Of the source; a topic's name where it reads one. */
      readonly connector: string
      readonly topic: string | undefined
      readonly partition: string
      readonly offset: number
      readonly key: Uint8Array | undefined
    }
  | { readonly kind: 'event'; readonly job: string; readonly stage: string; readonly key: string; readonly id: string }

/** Spans. Asked only about events whose trace is sampled; never throws. */
export interface Tracing {
  /** @param trace context of the event: the parent of the span */
  begin(of: Traced, trace: string): Span
  /** From the trigger to the decision. */
  checkpoint(job: string, generation: number, epoch: number): CheckpointSpan
}

export interface Span {
  /** Context of what is given away meanwhile. */
  readonly trace: string
  /** Calls `f`; to everything that it calls and awaits, the span is the active one. Throws what `f` throws. */
  run<T>(f: () => T): T
  /** Once. `failure`: what was thrown. */
  end(failure?: { readonly error: unknown }): void
}

export interface CheckpointSpan {
  /** Once. */
  end(how: 'completed' | 'abandoned', sizeBytes?: number): void
}
