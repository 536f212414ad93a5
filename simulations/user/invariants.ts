/** Checks what the job file says must hold: of the state in each decided checkpoint, of what came out, of what services were called. */
import { readLetter } from '../../runtime/core/dead-letter.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import type { Violation } from '../checkers/evidence.ts'
import { few } from '../checkers/evidence.ts'
import { fieldsText, type SinkOutput } from './run-outcome.ts'
import type { ServiceCall } from './sim-services.ts'
import type { Invariant, Verdict } from './simulation-of.ts'
import type { StageState } from './stage-states.ts'

/** Violations of one invariant that are told. */
const most = 3

export class Invariants {
  private readonly invariants: readonly Invariant[]
  private readonly found = new Map<string, Violation[]>()

  constructor(invariants: readonly Invariant[]) {
    this.invariants = invariants
  }

  /** What changed with a checkpoint. */
  state(stage: StageState, epoch: number): void {
    for (const invariant of this.invariants) {
      if (invariant.kind !== 'state' || invariant.actor !== stage.node.actor) continue
      if (this.violations(invariant).length > most) continue
      for (const key of stage.changed) {
        const fields = stage.fields(key)
        if (fields === undefined) continue
        const where = `stage "${stage.node.name}", key ${key}, checkpoint ${epoch}`
        const check = (): Verdict => invariant.check(fields as never, stage.keyOf(key) as never)
        this.judge(invariant, check, where, () => fieldsText(fields))
      }
    }
  }

  end(outputs: readonly SinkOutput[], calls: ReadonlyMap<string, readonly ServiceCall[]>): Violation[] {
    for (const invariant of this.invariants) {
      if (invariant.kind === 'output') {
        const output = outputs.find(({ name }) => name === invariant.sink)
        if (output === undefined) continue
        const { name, codec, records } = output
        const rows = records.map(record => {
          if (name === deadLettersName) return readLetter(record, codec)
          return record.value === undefined ? undefined : codec.decode(record.value)
        })
        const check = (): Verdict => invariant.check(rows as never)
        this.judge(invariant, check, `sink "${invariant.sink}"`, () => `${rows.length} rows`)
      }
      if (invariant.kind === 'service') {
        const made = calls.get(invariant.service) ?? []
        const check = (): Verdict => invariant.check(made as never)
        this.judge(invariant, check, `service "${invariant.service}"`, () => `${made.length} calls`)
      }
    }
    return [...this.found.values()].flatMap(violations => few(violations, most))
  }

  private judge(invariant: Invariant, check: () => Verdict, where: string, found: () => string): void {
    let verdict: Verdict
    try {
      verdict = check()
    } catch (error) {
      verdict = `the check throws: ${error instanceof Error ? error.message : String(error)}`
    }
    if (verdict === true) return
    const what = typeof verdict === 'string' ? verdict : `found ${found()}`
    this.violations(invariant).push(`"${invariant.name}" does not hold: ${where}: ${what}`)
  }

  private violations({ name }: Invariant): Violation[] {
    let violations = this.found.get(name)
    if (violations === undefined) this.found.set(name, (violations = []))
    return violations
  }
}
