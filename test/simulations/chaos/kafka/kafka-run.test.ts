/** A short run against Kafka on real processes; `npm run chaos:kafka -- --minutes 10` is the long one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { kafkaRun } from '../../../../simulations/chaos/kafka/kafka-run.ts'
import { needs, service } from '../../../support/services.ts'

t.setTimeout(300_000)

void t.test(
  'workers are killed and paused, a broker is stopped and one is killed: every transfer is booked once, in order',
  needs('kafka', 'kafka-client', 'nats-server'),
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'cairn-kafka-chaos-'))
    const told: string[] = []
    const report = await kafkaRun({
      folder,
      seed: 1,
      durationMs: 16_000,
      workers: 3,
      events: 8_000,
      counts: { 'kill-worker': 2, 'pause-worker': 1, 'stop-broker': 1, 'kill-broker': 1 },
      natsProgram: service('nats-server'),
      kafkaProgram: service('kafka'),
      say: text => told.push(text)
    })
    t.same(report.wrong, [], told.join('\n'))
    t.same(report.struck, { 'kill-worker': 2, 'pause-worker': 1, 'stop-broker': 1, 'kill-broker': 1 })
    // How long is a matter of the machine; the long run holds it to a second.
    t.ok((report.transactions?.ended ?? 0) > 10, `${report.transactions?.ended} transactions were measured`)
    if (t.passing()) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    else t.comment(`logs, brokers and checkpoints: ${folder}`)
  }
)
