/** The thread of `heart.ts`. */
import { workerData } from 'node:worker_threads'
import { connectNats } from '../../runtime/adapters/nats/nats-bus.ts'
import { SignedBus } from '../../runtime/adapters/signed-bus.ts'
import { encodeMessage } from '../../runtime/core/cluster-messages.ts'
import type { HeartData } from './heart.ts'

const { nats, key, subject, worker, heartbeatMs, hungAfterMs, turned } = workerData as HeartData
const bus = new SignedBus(await connectNats(nats), key)
const pulse = encodeMessage({ kind: 'pulse', worker })
setInterval(() => {
  const stoodMs = Number(process.hrtime.bigint() - Atomics.load(turned, 0)) / 1e6
  // Who turns reports by itself.
  if (stoodMs > heartbeatMs && stoodMs < hungAfterMs) bus.publish(subject, pulse)
}, heartbeatMs)
