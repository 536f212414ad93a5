/** A handler that keeps its worker's event loop busy for longer than silence is borne: the worker is busy, not lost. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { WorkerProcess, type ClusterPlace } from '../support/worker-process.ts'

t.setTimeout(600_000)

/** Whoever finds a file `busy-<its name>` first takes it away, and stands still for six seconds. */
const jobText = `
import { rmSync } from 'node:fs'
import { Actor, files, generator, job, json } from 'cairn'

const clock = new Int32Array(new SharedArrayBuffer(4))
const stand = ms => void Atomics.wait(clock, 0, 0, ms)
const name = process.argv[process.argv.indexOf('--name') + 1]

class Count extends Actor {
  static actorName = 'Count'
  count = 0
  receive(_, ctx) {
    stand(2)
    try {
      rmSync('busy-' + name)
      stand(6_000)
    } catch {}
    ctx.emit({ key: ctx.key, count: ++this.count })
  }
}
export default job('busy', j => ({
  out: j.source('numbers', generator({ count: 1_000_000 }, n => n))
    .keyBy(n => 'k' + (n % 40))
    .actor(Count)
    .to('out', files('out', json()))
}), { slots: 8, interval: '200ms' })
`

async function busyWorker(t: Test, ...flags: string[]): Promise<{ leader: WorkerProcess; busy: WorkerProcess }> {
  const nats = await NatsServer.start(t)
  const folder = mkdtempSync(join(tmpdir(), 'cairn-busy-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  writeFileSync(join(folder, 'busy.mjs'), jobText)
  const at: ClusterPlace = { folder, job: 'busy.mjs', nats: `nats://127.0.0.1:${nats.port}` }
  const start = (name: string): WorkerProcess => new WorkerProcess(t, at, name, '--lost-after', '2s', ...flags)
  const leader = start('w1')
  await leader.runs()
  const busy = start('w2')
  await busy.runs()
  writeFileSync(join(folder, 'busy-w2'), '')
  await busy.says(({ message }) => /stood still for [6-9]/.test(String(message)))
  return { leader, busy }
}

const lost = /was not heard for 2000 ms/

void t.test('it keeps its work', needs('nats-server'), async t => {
  const { leader, busy } = await busyWorker(t)
  t.notMatch(leader.text, lost)
  t.notMatch(busy.text, /PEER_LOST/)
})

void t.test('one that stands still for too long is lost', needs('nats-server'), async t => {
  const { leader } = await busyWorker(t, '--hung-after', '1s')
  await leader.says(line => lost.test(JSON.stringify(line)))
})
