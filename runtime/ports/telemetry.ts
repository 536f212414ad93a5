/** What a running job tells about itself; plain integers, no per-event calls. */
export interface Telemetry {
  /** Structured notice for people: `level`, a sentence, and fields. */
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): void
}
