/** A short run of the chaos on real processes; `npm run chaos -- --minutes 10` is the long one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { chaosRun } from '../../../simulations/chaos/chaos-run.ts'
import { describe, passed } from '../../../simulations/chaos/report.ts'
import { needs, service } from '../../support/services.ts'

t.setTimeout(600_000)

void t.test(
  'kills, a pause, cuts and a NATS that forgot all: output and state are right',
  needs('nats-server'),
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'cairn-chaos-'))
    const told: string[] = []
    const report = await chaosRun({
      folder,
      seed: 4,
      durationMs: 20_000,
      workers: 4,
      events: 12_000,
      natsProgram: service('nats-server'),
      counts: {
        kill: 3,
        'kill-all': 0,
        'kill-leader': 1,
        pause: 1,
        cut: 2,
        'cut-nats': 1,
        'restart-nats': 1,
        'wipe-disk': 1,
        join: 0,
        drain: 0,
        'rolling-restart': 0
      },
      say: text => told.push(text),
      progress: text => told.push(text)
    })
    t.same(report.findings, [])
    t.equal(report.stuck, undefined)
    t.ok(report.struck.length + report.missed === 10 && report.missed < 3)
    t.ok(report.generations > 1 && report.checkpoints > 1)
    if (passed(report)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    else t.comment(`${told.join('\n')}\n${describe(report)}\nkept: ${folder}`)
  }
)
