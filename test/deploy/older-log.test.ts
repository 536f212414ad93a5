/** A log that is older than the checkpoint, put back from a copy: the job halts and says so, and goes on with the right one. */
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { files, job, json, topic, type Sink } from '../../actors/index.ts'
import type { Job } from '../../actors/stream.ts'
import { startJob } from '../../deploy/start-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'

const copied = (sink: Sink<unknown>): Job<unknown> =>
  job('copied', j => ({ out: j.source('in', topic('in', { value: json<unknown>() })).to('out', sink) }), {
    interval: '10ms'
  })

async function append(folder: string, values: readonly unknown[]): Promise<void> {
  const log = await EmbeddedLog.open(join(folder, 'copied', 'log'), nodeClock)
  await log.createTopic('in', 1)
  const value = (each: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(each))
  await log.append(
    'in',
    0,
    values.map(each => ({ partition: 0, timestamp: 0, key: undefined, value: value(each) }))
  )
  await log.close()
}

/** Runs until so many records were read, and drains. */
async function run(built: Job<unknown>, folder: string, records: number): Promise<void> {
  const started = await startJob(built, { storage: folder, fresh: false })
  if (started.kind === 'finished') throw new Error('finished')
  const { job } = started
  const failed = job.ended.then(() => undefined)
  failed.catch(() => undefined)
  while (job.status().recordsRead < records)
    await Promise.race([failed, new Promise<void>(resolve => nodeClock.after(5, resolve))])
  await job.drain()
}

/** `refilled`: what was appended since the copy is appended again. */
async function check(
  t: Test,
  sink: (folder: string) => Sink<unknown>,
  refilled: boolean,
  expected: { code: string; message: RegExp }
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-older-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const built = copied(sink(folder))
  const log = join(folder, 'copied', 'log')
  await append(folder, [1, 2])
  cpSync(log, `${log}.older`, { recursive: true })
  await append(folder, [3, 4, 5])
  await run(built, folder, 5)

  renameSync(log, `${log}.newer`)
  cpSync(`${log}.older`, log, { recursive: true })
  if (refilled) await append(folder, [3, 4, 5])
  await t.rejects(run(built, folder, 1), expected)

  rmSync(log, { recursive: true })
  renameSync(`${log}.newer`, log)
  await append(folder, [6])
  await run(built, folder, 1)
}

void t.test('a topic that ends before the checkpoint has read', async t => {
  const sink = (folder: string): Sink<unknown> => files(join(folder, 'out'), json())
  const message = /source "in", partition "0": position 5 is outside 0…2/
  await check(t, sink, false, { code: 'INPUT_REGRESSED', message })
})

void t.test('a topic whose ledger does not know what the checkpoint knows', async t => {
  const sink = (): Sink<unknown> => topic('out', { value: json<unknown>() })
  const message = /sink "out", stage "in", slot \d: its ledger entry is missing/
  await check(t, sink, true, { code: 'RECOVERY_HALTED', message })
})
