/** Whether a job has put out what the events of the bench ask for. */
import { keyOfEvent } from './bench-events.ts'

export interface Row {
  readonly key: string
  readonly at: number
  readonly n: number
}

const tellAtMost = 3
const decoder = new TextDecoder()

/** Of each key n must be 1, 2, 3 … in this order, each once, up to the number of its events. */
export class OutputCheck {
  records = 0
  private readonly counts = new Map<string, number>()
  private readonly wrong: string[] = []

  /** In the order of each partition. Answers what the record says. */
  take(key: Uint8Array | undefined, value: Uint8Array | undefined): Row {
    const row = JSON.parse(decoder.decode(value)) as Row
    this.records++
    const due = (this.counts.get(row.key) ?? 0) + 1
    this.counts.set(row.key, due)
    if (row.n !== due) this.note(`${row.key} counts ${row.n} where ${due} is due`)
    if (decoder.decode(key) !== row.key) this.note(`the record of ${row.key} has the key ${decoder.decode(key)}`)
    return row
  }

  /** Sentences, none where the output is that of the first so many events: all that is wrong, or the first of it. */
  faults(events: number): string[] {
    const expected = new Map<string, number>()
    for (let n = 0; n < events; n++) expected.set(keyOfEvent(n), (expected.get(keyOfEvent(n)) ?? 0) + 1)
    const found = [...this.wrong]
    if (this.records !== events) found.push(`${this.records} records of ${events} events`)
    for (const key of new Set([...expected.keys(), ...this.counts.keys()])) {
      const [count = 0, due = 0] = [this.counts.get(key), expected.get(key)]
      if (count !== due) found.push(`${key} has ${count} records of ${due} events`)
    }
    return found.slice(0, tellAtMost)
  }

  private note(sentence: string): void {
    if (this.wrong.length < tellAtMost) this.wrong.push(sentence)
  }
}
