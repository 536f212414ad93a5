/** What `cairn simulate` tells people. */
import type { RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { Scenario } from '../../simulations/cluster/scenario.ts'
import { describeFault } from '../../simulations/world/fault.ts'

/** Sums over all seeds that ran. */
export class Totals {
  seeds = 0
  passed = 0
  events = 0
  recoveries = 0
  checkpoints = 0
  republished = 0
  simulatedMs = 0
  /** Seeds with 1,000 events or more and at least one recovery: those that prove something about recovery. */
  counting = 0
  readonly hits = new Map<string, number>()
  readonly marks = new Map<string, number>()

  add(result: RunResult): void {
    this.seeds++
    if (result.outcome === 'passed') this.passed++
    this.events += result.events
    this.recoveries += result.recoveries
    this.checkpoints += result.checkpoints
    this.republished += result.republished
    this.simulatedMs += result.simulatedMs
    if (result.events >= 1000 && result.recoveries > 0) this.counting++
    for (const [kind, hits] of Object.entries(result.hits)) this.hits.set(kind, (this.hits.get(kind) ?? 0) + hits)
    for (const [mark, count] of Object.entries(result.marks)) this.marks.set(mark, (this.marks.get(mark) ?? 0) + count)
  }

  lines(elapsedMs: number, processes: number): string[] {
    const hours = this.simulatedMs / 3_600_000
    const perMinute = (this.seeds * 60_000) / elapsedMs
    const table = (counts: ReadonlyMap<string, number>): string =>
      [...counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, count]) => `${name} ${count}`)
        .join(', ')
    return [
      `${this.seeds} seeds: ${this.passed} passed, ${this.seeds - this.passed} failed; ${this.counting} with 1,000 events or more and a recovery`,
      `${this.events} events, ${this.checkpoints} checkpoints, ${this.recoveries} recoveries, ${this.republished} publications begun anew`,
      `faults that struck: ${table(this.hits) || 'none'}`,
      `${hours.toFixed(2)} simulated hours in ${(elapsedMs / 1000).toFixed(1)} s on ${processes} processes: ${Math.round(perMinute / processes)} seeds a minute and process, ${((hours * 3_600_000) / elapsedMs).toFixed(0)} simulated seconds a second`
    ]
  }
}

export function resultLine(result: RunResult): string {
  const { seed, outcome, events, recoveries, checkpoints, simulatedMs, traceHash } = result
  return `seed ${seed}: ${outcome} (${events} events, ${checkpoints} checkpoints, ${recoveries} recoveries, ${(simulatedMs / 1000).toFixed(1)} simulated s, trace ${traceHash})`
}

/** Why a run failed. */
export function failureLines({ findings, waitingFor, crashes, description, notes = [] }: RunResult): string[] {
  return [
    `  job: ${description}`,
    ...findings.map(({ checker, violation }) => `  ${checker}: ${violation}`),
    ...notes.map(note => `  note: ${note}`),
    ...waitingFor.map(each => `  waits for: ${each}`),
    ...crashes.map(crash => `  ${crash.replaceAll('\n', '\n  ')}`)
  ]
}

export function scenarioLines({ workers, joiners, records, faults, healAtMs }: Scenario): string[] {
  return [
    `  ${workers} workers, ${joiners} joiners, ${records} records, ${faults.length} faults until ${healAtMs} ms`,
    ...faults.map(fault => `  ! ${describeFault(fault)}`)
  ]
}
