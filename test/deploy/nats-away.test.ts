/** While NATS is away nothing can be decided: what waits for a checkpoint grows up to its limit, and no further. Then it goes on. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { freePort, NatsServer } from '../support/nats-server.ts'
import { scrapeUntil, type Scraped } from '../support/scrape.ts'
import { needs } from '../support/services.ts'
import { WorkerProcess, type ClusterPlace } from '../support/worker-process.ts'

t.setTimeout(600_000)

const events = 100_000
const keys = 40
/** Each event of 1.5 KB puts as much into the outbox; with a cache of 16 MiB as much may wait. While there is a file `hold`, few events come. */
const jobText = `
import { existsSync } from 'node:fs'
import { Actor, files, generator, job, json } from 'cairn'

const padding = 'x'.repeat(1_500)
const pause = new Int32Array(new SharedArrayBuffer(4))
const event = n => {
  if (existsSync('hold')) Atomics.wait(pause, 0, 0, 5)
  return { n, padding }
}

class Count extends Actor {
  static actorName = 'Count'
  count = 0
  receive({ padding }, ctx) {
    ctx.emit({ key: ctx.key, count: ++this.count, padding })
  }
}
export default job('away', j => ({
  out: j.source('numbers', generator({ count: ${events / 2}, partitions: 2 }, event))
    .keyBy(({ n }) => 'k' + (n % ${keys}))
    .actor(Count)
    .to('out', files('out', json()))
}), { slots: 8, interval: '200ms', store: 'level', cache: '16MiB' })
`

void t.test('memory stays within its limit, and nothing is lost', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const folder = mkdtempSync(join(tmpdir(), 'cairn-away-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  writeFileSync(join(folder, 'away.mjs'), jobText)
  writeFileSync(join(folder, 'hold'), '')
  const at: ClusterPlace = { folder, job: 'away.mjs', nats: `nats://127.0.0.1:${nats.port}` }
  const ports = [await freePort(), await freePort()]
  const workers = ports.map((port, i) => new WorkerProcess(t, at, `w${i + 1}`, '--metrics', `127.0.0.1:${port}`))
  await WorkerProcess.runTogether(workers)
  await nats.kill()
  rmSync(join(folder, 'hold'))

  for (const port of ports) {
    const page = await scrapeUntil(`http://127.0.0.1:${port}`, full)
    const [pending, limit] = [page.value('cairn_pending_bytes') ?? 0, page.value('cairn_pending_limit_bytes') ?? 0]
    // What was read before, a batch of each source and what is in channels, is still handled.
    t.ok(pending < 1.5 * limit, `${pending} of ${limit} bytes`)
  }
  await nats.restart()

  for (const worker of workers) t.equal(await worker.exited, 0, worker.text)
  const counts = new Map<string, number>()
  let wrong = 0
  const names = readdirSync(join(folder, 'out')).sort()
  for (const name of names)
    for (const line of readFileSync(join(folder, 'out', name), 'utf8')
      .split('\n')
      .filter(Boolean)) {
      const { key, count } = JSON.parse(line) as { key: string; count: number }
      if (count !== (counts.get(key) ?? 0) + 1) wrong++
      counts.set(key, count)
    }
  t.equal(wrong, 0, 'each count of each key once, in order')
  t.same([...counts.values()], Array(keys).fill(events / keys))
})

const full = (page: Scraped): boolean =>
  (page.value('cairn_pending_bytes') ?? 0) >= (page.value('cairn_pending_limit_bytes') ?? Infinity)
