import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { csv, job, json, topic } from '../../actors/index.ts'
import { startJob } from '../../deploy/start-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'

void t.test('rows of a CSV file reach a topic, refused ones the dead letters, with their bytes and place', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-csv-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'in.csv')
  writeFileSync(path, 'name,age\nann,7\n"bob,8\ncy,none\ndi,9\n')
  const schema = z.object({ name: z.string(), age: z.coerce.number() })
  const people = job('people', j => ({
    out: j.source('rows', csv(path, schema), { onError: 'dead-letter' }).to('out', topic('out', { value: json() }))
  }))
  const started = await startJob(people, { storage: folder, fresh: false })
  if (started.kind === 'running') t.equal(await started.job.ended, 'finished')
  const log = await EmbeddedLog.open(join(folder, 'people', 'log'), nodeClock)
  t.teardown(() => log.close())
  const read = async (name: string): Promise<unknown[]> => {
    const got = await log.reader(name).fetch(0, 0, 1 << 20, 0)
    if (got.kind !== 'records') return []
    const text = (i: number): string => Buffer.from(got.batch.value(i) ?? []).toString()
    return Array.from({ length: got.batch.count }, (_, i) => JSON.parse(text(i)) as unknown)
  }
  t.same(await read('out'), [
    { name: 'ann', age: 7 },
    { name: 'di', age: 9 }
  ])
  t.match(await read('people-dead-letters'), [
    { id: 'rows/0/15', event: '"bob,8', error: /never closed/ },
    { id: 'rows/0/22', event: 'cy,none', error: /age/ }
  ])
})
