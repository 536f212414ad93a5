/** Trace contexts of random records: in one workload of three, in half of its records, none twice. */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import { traceHeaders, traceText } from '../../runtime/kernel/trace-context.ts'

export interface Traced {
  readonly headers: readonly RecordHeader[]
  /** What must come out: '' where the headers hold no context, or none that is well-formed. */
  readonly trace: string
}

export const untraced: Traced = { headers: [], trace: '' }

const encoder = new TextEncoder()
const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0')

export class RandomTraces {
  private readonly random: Prng
  private readonly some: boolean
  private made = 0

  constructor(random: Prng) {
    this.random = random
    this.some = random.int(3) === 0
  }

  next(): Traced {
    const { random } = this
    if (!this.some || random.int(2) === 0) return untraced
    const id = ++this.made
    const state = random.int(4) === 0 ? `made=${id}` : undefined
    const trace = traceText({ traceId: hex(id, 32), spanId: hex(id, 16), flags: random.int(2), state })
    if (random.int(20) === 0)
      return { headers: [{ name: 'traceparent', value: encoder.encode(trace.slice(1)) }], trace: '' }
    return { headers: traceHeaders(trace), trace }
  }
}
