/** Leases in a JetStream key-value bucket whose time to live is that of a lease: servers before 2.11 ignore one per key. */
import type { JetStreamClient } from '@nats-io/jetstream'
import type { KV } from '@nats-io/kv'
import { CodedError } from '../../kernel/errors.ts'
import { reached } from '../../kernel/marks.ts'
import type { LeaseBucket } from '../../ports/control-bus.ts'
import type { NatsPackages } from './load-nats.ts'
import { bucketName, type ResolvedNatsOptions } from './nats-options.ts'

const nanosPerMs = 1_000_000
/** The server's code for a stream whose subjects another one has. */
const subjectsOverlap = 10065
const lookAgainMs = 20

export interface LeaseConnection {
  readonly packages: NatsPackages
  readonly options: ResolvedNatsOptions
  readonly client: JetStreamClient
  /** Throws when no request can be answered now. */
  ready(): void
}

export class NatsLeases implements LeaseBucket {
  private readonly connection: LeaseConnection
  private bucket: Promise<KV> | undefined

  constructor(connection: LeaseConnection) {
    this.connection = connection
  }

  async get(key: string): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined> {
    return this.request('read', key, async bucket => {
      const entry = await bucket.get(key)
      return entry === null || entry.operation !== 'PUT' ? undefined : { value: entry.value, revision: entry.revision }
    })
  }

  async put(
    key: string,
    value: Uint8Array,
    revision: number | undefined
  ): Promise<{ readonly revision: number } | 'conflict'> {
    const own = value.slice()
    if (revision !== undefined && revision < 1) return 'conflict'
    return this.request('write', key, async bucket => {
      try {
        return {
          revision: await (revision === undefined ? bucket.create(key, own) : bucket.update(key, own, revision))
        }
      } catch (error) {
        if (this.isConflict(error)) return 'conflict'
        throw error
      }
    })
  }

  async remove(key: string, revision: number): Promise<void> {
    // The client takes 0 for "whatever there is".
    if (revision < 1) return
    await this.request('remove', key, async bucket => {
      try {
        await bucket.delete(key, { previousSeq: revision })
      } catch (error) {
        if (!this.isConflict(error)) throw error
      }
    })
  }

  /** Makes the bucket, or finds it; it is made again when the server has forgotten it. */
  async open(): Promise<void> {
    await this.limited('open', '', this.opened())
  }

  private opened(): Promise<KV> {
    const opening = (this.bucket ??= this.make())
    opening.catch(() => {
      if (this.bucket === opening) this.bucket = undefined
    })
    return opening
  }

  private async make(): Promise<KV> {
    const { packages, options, client } = this.connection
    const name = bucketName(options.job, options.prefix)
    const kvm = new packages.kv.Kvm(client)
    const bucket = await this.unlessBeingMade(() =>
      kvm.create(name, {
        ttl: options.leaseTtlMs,
        history: 1,
        replicas: options.replicas,
        // A direct read of a bucket that is gone gets no answer at all, and may be older than need be.
        allow_direct: false,
        description: `leases of the Cairn job ${options.job}`
      })
    )
    const manager = await client.jetstreamManager(false)
    const { config } = await manager.streams.info(`KV_${name}`)
    // Another version of the job made it: a lease must live as long as this one thinks.
    const maxAge = options.leaseTtlMs * nanosPerMs
    if (config.max_age !== maxAge) {
      reached('nats: a bucket with another time to live')
      const window = Math.min(config.duplicate_window, maxAge)
      await manager.streams.update(config.name, { ...config, max_age: maxAge, duplicate_window: window })
    }
    return bucket
  }

  /** While a server makes the bucket for another worker it says that its subjects are taken: once they are for good, that is told. */
  private async unlessBeingMade(create: () => Promise<KV>): Promise<KV> {
    const until = performance.now() + this.connection.options.requestTimeoutMs / 2
    for (;;) {
      try {
        return await create()
      } catch (error) {
        const { JetStreamApiError } = this.connection.packages.jetstream
        const overlaps = error instanceof JetStreamApiError && error.code === subjectsOverlap
        if (!overlaps || performance.now() > until) throw error
        reached('nats: the bucket is being made')
        await new Promise(resolve => setTimeout(resolve, lookAgainMs))
      }
    }
  }

  /** Once more when the bucket was found missing: then nothing has been done yet. */
  private async request<T>(what: string, key: string, work: (bucket: KV) => Promise<T>): Promise<T> {
    const attempt = async (): Promise<T> => {
      const bucket = await this.opened()
      try {
        return await work(bucket)
      } catch (error) {
        if (!this.isMissing(error)) throw error
        reached('nats: the bucket is gone')
        this.bucket = undefined
        return work(await this.opened())
      }
    }
    return this.limited(what, key, (this.connection.ready(), attempt()))
  }

  private async limited<T>(what: string, key: string, work: Promise<T>): Promise<T> {
    const { requestTimeoutMs, job, prefix } = this.connection.options
    const lease = `${what} lease "${key}" of bucket "${bucketName(job, prefix)}"`
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new CodedError('BUS_UNREACHABLE', `${lease}: no answer within ${requestTimeoutMs} ms`)),
        requestTimeoutMs
      )
    })
    try {
      return await Promise.race([work, limit])
    } catch (error) {
      if (error instanceof CodedError) throw error
      throw this.isRefused(error)
        ? new CodedError('BUS_REFUSED', `${lease}: ${messageOf(error)}`, { cause: error })
        : new CodedError('BUS_UNREACHABLE', `${lease}: ${messageOf(error)}`, { cause: error })
    } finally {
      clearTimeout(timer)
      work.catch(() => undefined)
    }
  }

  private isConflict(error: unknown): boolean {
    const { JetStreamApiError, JetStreamApiCodes } = this.connection.packages.jetstream
    return (
      error instanceof JetStreamApiError &&
      (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
        error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
    )
  }

  /** Nobody listens to the bucket's subjects. */
  private isMissing(error: unknown): boolean {
    const { transport, jetstream } = this.connection.packages
    if (error instanceof jetstream.JetStreamApiError) return error.code === jetstream.JetStreamApiCodes.StreamNotFound
    return (
      (error instanceof Error && error.name === 'JetStreamNotEnabled') ||
      error instanceof transport.NoRespondersError ||
      (error instanceof transport.RequestError && error.isNoResponders())
    )
  }

  /** Asking again does not help. */
  private isRefused(error: unknown): boolean {
    const { transport, jetstream } = this.connection.packages
    for (let each = error; each instanceof Error; each = each.cause) {
      if (each instanceof transport.PermissionViolationError) return true
      // Above: a server that is not ready yet, or a cluster of servers without a majority.
      if (each instanceof jetstream.JetStreamApiError) return each.status < 500
    }
    return this.isMissing(error)
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
