/**
 * A control bus on which only those are heard who know the job's key: every message carries an HMAC-SHA256 (RFC 2104) of its subject and
 * itself. Leases are not signed: they are advice, and whoever may write to the bucket can take them in any case.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { reached } from '../kernel/marks.ts'
import type { ControlBus, LeaseBucket } from '../ports/control-bus.ts'

const signatureBytes = 32

export class SignedBus implements ControlBus {
  readonly leases: LeaseBucket
  private readonly bus: ControlBus
  private readonly key: Uint8Array

  constructor(bus: ControlBus, key: Uint8Array) {
    this.bus = bus
    this.key = key
    this.leases = bus.leases
  }

  get connected(): boolean {
    return this.bus.connected
  }

  publish(subject: string, bytes: Uint8Array): void {
    this.bus.publish(subject, Buffer.concat([this.sign(subject, bytes), bytes]))
  }

  subscribe(subject: string, deliver: (bytes: Uint8Array) => void): () => void {
    return this.bus.subscribe(subject, signed => {
      const bytes = signed.subarray(signatureBytes)
      if (
        signed.length < signatureBytes ||
        !timingSafeEqual(this.sign(subject, bytes), signed.subarray(0, signatureBytes))
      )
        return reached('signed bus: a message of a stranger')
      deliver(bytes)
    })
  }

  close(): Promise<void> {
    return this.bus.close()
  }

  private sign(subject: string, bytes: Uint8Array): Uint8Array {
    return createHmac('sha256', this.key).update(subject).update('\u0000').update(bytes).digest()
  }
}
