/** One owner of a transactional id. Whatever it does after a newer owner came is answered `fenced` and changes nothing. */
import { assert } from '../../kernel/errors.ts'
import type { OutputRecord } from '../../ports/log.ts'
import type { EmbeddedLog } from './embedded-log.ts'
import { aborted, committed } from './log-entry.ts'

export type Fencing = 'done' | 'fenced'

export class TransactionalProducer {
  readonly id: string
  private readonly log: EmbeddedLog
  private readonly producer: number
  private readonly epoch: number
  private open = false

  constructor(log: EmbeddedLog, id: string, producer: number, epoch: number) {
    this.log = log
    this.id = id
    this.producer = producer
    this.epoch = epoch
  }

  begin(): Fencing {
    assert(!this.open, `producer "${this.id}" begins a transaction inside another`)
    if (this.fenced) return 'fenced'
    this.open = true
    return 'done'
  }

  /** Written by the next `flush`, `commit` or `abort`; invisible to readers until committed. */
  append(topic: string, partition: number, records: readonly OutputRecord[]): Fencing {
    assert(this.open, `producer "${this.id}" appends outside a transaction`)
    if (this.fenced) return 'fenced'
    this.log.write(this.log.partition(topic, partition), records, this.producer)
    return 'done'
  }

  /** Durable, still open. */
  async flush(): Promise<Fencing> {
    if (this.fenced) return 'fenced'
    await this.log.store.commit()
    return 'done'
  }

  /** Everything appended since `begin` becomes true at once, durably; when it throws, nobody knows. `also` stages what belongs to it. */
  commit(also: () => void = () => undefined): Promise<Fencing> {
    return this.end(committed, also)
  }

  abort(): Promise<Fencing> {
    return this.end(aborted, () => undefined)
  }

  private get fenced(): boolean {
    this.log.store.check()
    return this.log.store.metadata.get(`producer/${this.id}`)?.['epoch'] !== this.epoch
  }

  private async end(outcome: typeof committed | typeof aborted, also: () => void): Promise<Fencing> {
    assert(this.open, `producer "${this.id}" ends a transaction that it did not begin`)
    this.open = false
    if (this.fenced) return 'fenced'
    this.log.end(this.producer, outcome)
    also()
    await this.log.store.commit()
    return 'done'
  }
}
