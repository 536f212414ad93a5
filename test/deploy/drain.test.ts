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

class Circle extends Actor {
  passed = 0
  async receive(token: number, ctx: Context<never>): Promise<void> {
    this.passed++
    if (token % 2 === 0) await Promise.resolve()
    ctx.send(Circle, `place ${(token + this.passed) % 10}`, token)
  }
}

void t.test('a job with a loop that never comes to rest is drained too, and goes on', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-drain-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const built = job(
    'circling',
    j => {
      const tokens = j.source(
        'tokens',
        generator({ count: 50 }, n => n)
      )
      tokens.keyBy(n => `place ${n % 10}`).actor(Circle, { sends: [Circle] })
      return { tokens }
    },
    { interval: '10ms', parallelism: 2 }
  )
  for (let run = 0; run < 3; run++) {
    const started = await startJob(built, { storage: folder, fresh: false })
    if (started.kind === 'finished') throw new Error('finished')
    while (started.job.status().events < 1000) await new Promise(resolve => setImmediate(resolve))
    await started.job.drain()
    t.equal(await started.job.ended, 'drained')
    t.equal(started.job.status().recordsRead, run === 0 ? 50 : 0)
  }
})
