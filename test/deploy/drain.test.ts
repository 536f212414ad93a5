import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Actor, files, generator, job, json, type Context } from '../../actors/index.ts'
import { startJob } from '../../deploy/start-job.ts'

class Count extends Actor {
  count = 0
  receive(_event: number, ctx: Context<number>): void {
    ctx.emit(++this.count)
  }
}

void t.test('a drained job goes on where it was; only a job whose input ended has finished', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-drain-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const options = { storage: folder, fresh: false }
  const built = job('drained', j => ({
    counts: j
      .source(
        'numbers',
        generator({ count: 5_000_000 }, n => n)
      )
      .filter(n => n % 1000 === 0)
      .keyBy(() => 'all')
      .actor(Count)
      .to('counts', files(join(folder, 'counts'), json<number>()))
  }))
  const first = await startJob(built, options)
  if (first.kind === 'finished') throw new Error('finished at once')
  await first.job.drain()
  t.equal(await first.job.ended, 'drained')
  t.ok(first.job.status().recordsRead < 5_000_000)

  const second = await startJob(built, options)
  t.equal(second.kind, 'running', 'not finished')
  if (second.kind === 'running') t.equal(await second.job.ended, 'finished')
  const third = await startJob(built, options)
  t.ok(third.kind === 'finished' || third.wasFinal, 'what was final stays final')
  if (third.kind === 'running') await third.job.ended
  const counts = readdirSync(join(folder, 'counts'))
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name =>
      readFileSync(join(folder, 'counts', name), 'utf8')
        .split('\n')
        .filter(line => line !== '')
    )
    .map(Number)
    .sort((a, b) => a - b)
  t.same(
    counts,
    Array.from({ length: 5000 }, (_, n) => n + 1)
  )
})
