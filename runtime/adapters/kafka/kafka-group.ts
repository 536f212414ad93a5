/**
 * Tells Kafka how far the sources are, where no exactly-once sink on their cluster does it: in plain commits to the job's consumer group,
 * one at a time, of what is newest.
 */
import { GroupOffsets, type SourceOffset } from '../../kafka-protocol/group-offsets.ts'
import type { Clock } from '../../ports/clock.ts'
import { KafkaClient } from './kafka-client.ts'
import type { KafkaCluster } from './kafka-options.ts'
import { reachKafka } from './kafka-sockets.ts'

export interface KafkaGroupOptions {
  readonly cluster: KafkaCluster
  readonly name: string
  readonly group: string
  readonly clock: Clock
  /** They are not wanted there; said once. */
  readonly refused?: (why: Error) => void
}

/** Larger: lag looks greater than it is for longer after a trouble. */
const againMs = 1_000
/** Larger: a job whose cluster is away ends later. */
const lastWordMs = 5_000

export class KafkaGroup {
  private readonly client: KafkaClient
  private readonly offsets: GroupOffsets
  private readonly clock: Clock
  private readonly newest = new Map<string, SourceOffset>()
  private telling: Promise<void> | undefined
  private hurry: (() => void) | undefined
  private closing = false

  constructor({ cluster, name, group, clock, refused }: KafkaGroupOptions) {
    this.clock = clock
    this.client = new KafkaClient({ ...reachKafka(cluster), clientId: name, clock })
    const { view } = this.client
    this.offsets = new GroupOffsets({ view, group, ...(refused === undefined ? {} : { refused }) })
  }

  reached(offsets: readonly SourceOffset[]): void {
    for (const each of offsets) this.newest.set(`${each.partition} ${each.topic}`, each)
    this.telling ??= this.tell().finally(() => (this.telling = undefined))
  }

  private async tell(): Promise<void> {
    while (this.newest.size > 0) {
      const told = new Map(this.newest)
      const how = await this.client.run(now => this.offsets.commit([...told.values()], now)).catch(() => 'later')
      if (how === 'told') {
        for (const [key, offset] of told) if (this.newest.get(key) === offset) this.newest.delete(key)
      } else if (this.closing) return
      else await this.pause()
    }
  }

  private pause(): Promise<void> {
    return new Promise(resolve => {
      const cancel = this.clock.after(againMs, resolve)
      this.hurry = () => {
        cancel()
        resolve()
      }
    })
  }

  /** The last positions are told, if that can be done soon. */
  async close(): Promise<void> {
    this.closing = true
    this.hurry?.()
    const { telling } = this
    if (telling !== undefined) {
      let cancel = (): void => undefined
      const late = new Promise<void>(resolve => (cancel = this.clock.after(lastWordMs, resolve)))
      await Promise.race([telling, late])
      cancel()
    }
    this.client.close()
  }
}
