/** A key that is parked on a cluster, a killed worker, and the release over NATS: the output is that of a run in which nothing failed. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { cairnBin, storageOf, WorkerProcess } from '../support/worker-process.ts'

t.setTimeout(300_000)

const perPartition = 3000
/** The third event of a key fails until there is a file `fixed`; while there is a file `hold`, the input does not end. */
const jobText = `
import { existsSync } from 'node:fs'
import { Actor, files, generator, job, json } from 'cairn'

const pause = new Int32Array(new SharedArrayBuffer(4))
const event = (n, partition) => {
  if (n > 60 && existsSync('hold')) Atomics.wait(pause, 0, 0, 20)
  return { key: 'k' + (n % 6), id: partition + '/' + n }
}
class Account extends Actor {
  static actorName = 'Account'
  count = 0
  receive(event, ctx) {
    if (ctx.key === 'k3' && this.count === 2 && !existsSync('fixed')) throw new Error('the third event of k3')
    ctx.emit({ key: ctx.key, id: event.id, count: ++this.count })
  }
}
export default job('accounts', j => ({
  out: j.source('events', generator({ count: ${perPartition}, partitions: 2 }, event))
    .keyBy(e => e.key).actor(Account, { onError: 'quarantine' }).to('out', files('out', json()))
}), { slots: 4, interval: '200ms' })
`

interface Row {
  readonly key: string
  readonly id: string
  readonly count: number
}

void t.test('parked, kept over a crash, and released', needs('nats-server'), async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-quarantine-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  writeFileSync(join(folder, 'job.mjs'), jobText)
  writeFileSync(join(folder, 'hold'), '')
  const nats = await NatsServer.start(t)
  const at = { folder, job: 'job.mjs', nats: `nats://127.0.0.1:${nats.port}` }
  const start = (name: string): WorkerProcess => new WorkerProcess(t, at, name, '--lost-after', '2s')
  const cairn = (...args: string[]): Promise<{ stdout: string; stderr: string; code?: number }> =>
    promisify(execFile)(process.execPath, [cairnBin, ...args, '--storage', storageOf(at)], { cwd: folder }).catch(
      (error: unknown) => error as { stdout: string; stderr: string; code: number }
    )
  const parked = async (): Promise<string> =>
    (await cairn('quarantine', 'list', 'accounts', '--output', 'jsonl')).stdout
  const release = (...args: string[]) =>
    cairn('quarantine', 'retry', 'accounts', 'Account', ...args, '--cluster', '--nats', at.nats, '--output', 'json')

  const [w1, w2] = [start('w1'), start('w2')]
  await Promise.all([w1.runs(), w2.runs()])
  while (!(await parked()).includes('"k3"')) await new Promise(resolve => setTimeout(resolve, 50))
  t.match(await release('k3', '--id', 'first'), { code: 1, stdout: /"quarantined".*"the third event of k3"/s })
  t.match(await release('k0'), { code: 1, stderr: /NOT_FOUND.*has no key k0 in quarantine/ })

  w1.kill()
  await w1.exited
  const again = start('w1')
  await again.runs()
  t.match(await parked(), /"attempts":2/)
  writeFileSync(join(folder, 'fixed'), '')
  t.match(await release('k3', '--id', 'second'), { stdout: /"released"/ })
  t.match(await release('k3', '--id', 'second'), { stdout: /"released"/ }, 'asked again')
  t.match(await release('k3', '--id', 'first'), { code: 1, stdout: /"quarantined"/ }, 'the answer of then')
  rmSync(join(folder, 'hold'))
  for (const worker of [again, w2]) t.equal(await worker.exited, 0, worker.text)

  const rows = readdirSync(join(folder, 'out'))
    .filter(name => name.endsWith('.ndjson') && !name.startsWith('.'))
    .sort()
    .flatMap(name =>
      readFileSync(join(folder, 'out', name), 'utf8')
        .trimEnd()
        .split('\n')
    )
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Row)
  t.equal(rows.length, 2 * perPartition)
  for (let key = 0; key < 6; key++) {
    const own = rows.filter(row => row.key === `k${key}`)
    t.same(
      own.map(({ count }) => count),
      own.map((_, i) => i + 1),
      `k${key}: each once, in order`
    )
    for (const partition of ['0', '1']) {
      const order = own.map(({ id }) => id.split('/')).filter(([from]) => from === partition)
      t.same(
        order,
        [...order].sort(([, a], [, b]) => Number(a) - Number(b))
      )
    }
  }
})
