/** Listens to a cluster for a while: who is there, and who leads. */
import {
  decodeDirective,
  decodeReport,
  subjects,
  type Directive,
  type Report
} from '../../runtime/core/cluster-messages.ts'
import type { ControlBus } from '../../runtime/ports/control-bus.ts'

export interface Seen {
  /** By worker, the newest of each. */
  readonly reports: ReadonlyMap<string, Report>
  /** Of the newest leader. */
  readonly directive: Directive | undefined
}

export interface Look {
  readonly seen: Seen
  /** What `find` finds first, asked again with each message; undefined after so long. */
  until<T>(find: (seen: Seen) => T | undefined | Promise<T | undefined>, ms: number): Promise<T | undefined>
  heardWithin(worker: string, ms: number): boolean
  /** Who is there, in words. */
  describe(): string
  close(): void
}

const againMs = 100

export function listen(job: string, bus: ControlBus): Look {
  const reports = new Map<string, Report>()
  const heardAt = new Map<string, number>()
  const seen: { reports: Map<string, Report>; directive: Directive | undefined } = { reports, directive: undefined }
  const ends = [
    bus.subscribe(`${job}.${subjects.reports}`, bytes => {
      const report = decodeReport(bytes)
      if (report === undefined || (reports.get(report.worker)?.sequence ?? -1) > report.sequence) return
      reports.set(report.worker, report)
      heardAt.set(report.worker, performance.now())
    }),
    bus.subscribe(`${job}.${subjects.directives}`, bytes => {
      const directive = decodeDirective(bytes)
      const known = seen.directive
      if (directive === undefined || (known !== undefined && directive.term < known.term)) return
      seen.directive = directive
    })
  ]
  return {
    seen,
    async until(find, ms) {
      const end = performance.now() + ms
      for (;;) {
        const found = await find(seen)
        if (found !== undefined || performance.now() > end) return found
        await new Promise(resolve => setTimeout(resolve, againMs))
      }
    },
    heardWithin: (worker, ms) => performance.now() - (heardAt.get(worker) ?? -Infinity) < ms,
    describe: () =>
      reports.size === 0
        ? 'nobody is heard'
        : `there are ${[...reports.values()]
            .map(({ name }) => name)
            .sort()
            .join(', ')}`,
    close() {
      for (const end of ends) end()
    }
  }
}
