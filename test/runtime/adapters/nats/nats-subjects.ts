/** The control bus over a real NATS, as the conformance suite wants it. */
import type { Test } from 'tap'
import { connectNats, type NatsBus } from '../../../../runtime/adapters/nats/nats-bus.ts'
import type { NatsOptions } from '../../../../runtime/adapters/nats/nats-options.ts'
import { NatsServer } from '../../../support/nats-server.ts'
import type { ControlBusSubject } from '../../ports/control-bus-conformance.ts'

export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** With short limits. */
export const quick = (server: NatsServer): NatsOptions => ({
  servers: [server.address],
  job: 'job',
  leaseTtlMs: 1_000,
  requestTimeoutMs: 500,
  connectTimeoutMs: 5_000,
  pingMs: 200,
  reconnectMs: 50
})

/** Closed with the test. */
export async function open(t: Test, options: NatsOptions): Promise<NatsBus> {
  const bus = await connectNats(options)
  t.teardown(() => bus.close())
  return bus
}

export async function natsControlBus(
  t: Test,
  configuration?: string,
  options: Partial<NatsOptions> = {}
): Promise<ControlBusSubject> {
  const server = await NatsServer.start(t, configuration === undefined ? {} : { configuration })
  const settings = { ...quick(server), ...options }
  return {
    open: () => open(t, settings),
    sleep,
    leaseTtlMs: settings.leaseTtlMs,
    outage: () => server.outage(),
    run: work => work()
  }
}
