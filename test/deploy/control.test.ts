/** What a running job is asked over its socket, and what is read from storage when none runs. */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { DirectoryLineages } from '../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { Actor, durableMap, files, generator, job, json, type Context } from '../../actors/index.ts'
import type { Job } from '../../actors/stream.ts'
import type { Key } from '../../actors/actor.ts'
import { controlPath, requestLimitBytes } from '../../deploy/control-protocol.ts'
import { askJob } from '../../deploy/job-answers.ts'
import type { JobReference } from '../../deploy/job-reference.ts'
import type { RunningJob } from '../../deploy/running-job.ts'
import { startJob } from '../../deploy/start-job.ts'

// The jobs here never rest, so that answers come slowly on a busy machine.
t.setTimeout(600_000)

const strangeKeys: readonly Key[] = [
  '',
  'a',
  'a/b',
  'a\u0000b\n',
  '\ud800',
  '__proto__',
  42,
  '42',
  ['eu', 7],
  ['__proto__']
]

class Count extends Actor {
  count = 0
  __proto__ = 'a field'
  tags = new Map([['π', new Set([1n])]])
  receive(_event: { key: unknown }, ctx: Context<number, never>): void {
    ctx.emit(++this.count)
  }
}

function counting(folder: string, count: number): Job<unknown> {
  return job('control', j => ({
    counts: j
      .source(
        'numbers',
        generator({ count }, n => ({ key: strangeKeys[n % strangeKeys.length] as never }))
      )
      .keyBy(event => event.key)
      .actor(Count)
      .to('counts', files(join(folder, 'counts'), json<number>()))
  }))
}

function referenceTo(name: string, storage: string): JobReference & { readonly folder: string } {
  const folder = join(storage, name)
  return { name, folder, lineages: new DirectoryLineages(nodeFiles, folder), plan: undefined }
}

async function started(
  t: Test,
  count: number
): Promise<{ running: RunningJob; reference: ReturnType<typeof referenceTo> }> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-control-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const built = counting(folder, count)
  const begun = await startJob(built, { storage: folder, fresh: false, intervalMs: 20 })
  if (begun.kind !== 'running') throw new Error('it had finished')
  return { running: begun.job, reference: referenceTo('control', folder) }
}

void t.test('a running job answers from memory, and after its end storage gives the same answer', async t => {
  const { running, reference } = await started(t, 5000)
  const live = await askJob<'status'>(reference, { kind: 'status' })
  t.match(live, { job: 'control', phase: 'running', generation: 1 })
  const { epoch } = await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  t.ok(epoch >= 1)
  t.equal(await running.ended, 'finished')
  for (const key of strangeKeys) {
    const { fields, epoch } = await askJob<'state'>(reference, { kind: 'state', stage: 'Count', key: key as never })
    t.ok(epoch !== null && epoch >= 1)
    t.same(Object.keys(fields ?? {}), ['count', '__proto__', 'tags'])
    t.equal(fields?.['count'], 500)
    t.equal(fields === null ? '' : Object.getOwnPropertyDescriptor(fields, '__proto__')?.value, 'a field')
    t.same(fields?.['tags'], { $map: [['π', { $set: [{ $bigint: '1' }] }]] })
  }
  t.same(await askJob<'state'>(reference, { kind: 'state', stage: 'Count', key: 'nobody' }).then(a => a.fields), null)
  const list = await askJob<'checkpoint-list'>(reference, { kind: 'checkpoint-list' })
  t.match(list[0], { final: true, files: 'retained' })
  t.same((await askJob<'checkpoint-verify'>(reference, { kind: 'checkpoint-verify' })).problems, [])
  await t.rejects(askJob(reference, { kind: 'status' }), { code: 'NOT_RUNNING' })
  await t.rejects(askJob<'state'>(reference, { kind: 'state', stage: 'Cuont', key: 'a' }), {
    code: 'NOT_FOUND',
    message: 'there is no stage or actor "Cuont"; there are Count'
  })
})

void t.test('live state is what the handlers left, for every kind of key', async t => {
  const { running, reference } = await started(t, 100_000_000)
  for (const key of strangeKeys) {
    let fields: Readonly<Record<string, unknown>> | null = null
    while (fields === null)
      fields = (await askJob<'state'>(reference, { kind: 'state', stage: 'Count', key: key as never })).fields
    t.ok((fields['count'] as number) > 0)
  }
  await t.rejects(askJob<'state'>(reference, { kind: 'state', stage: 'Cuont', key: 'a' }), { code: 'NOT_FOUND' })
  t.equal(statSync(controlPath(reference.folder)).mode & 0o777, 0o600, 'only its user may speak to it')
  const first = await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  const second = await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  t.ok(second.epoch > first.epoch)
  await askJob(reference, { kind: 'stop' })
  t.equal(await running.ended, 'stopped')
})

void t.test('what is no request is answered with what is wrong, and the job goes on', async t => {
  const { running, reference } = await started(t, 100_000_000)
  const socket = connect(controlPath(reference.folder))
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]()
  const answer = async (line: string): Promise<unknown> => {
    socket.write(`${line}\n`)
    return JSON.parse((await answers.next()).value as string)
  }
  t.match(await answer('hello'), { ok: false, id: 0, error: { code: 'USAGE', message: /one line that holds a JSON/ } })
  t.match(await answer('{"v":1,"id":3,"kind":"explode"}'), {
    ok: false,
    id: 3,
    error: { message: /unknown request "explode"; known are status, state,/ }
  })
  t.match(await answer('{"v":2,"id":4,"kind":"status"}'), { error: { message: /version 2; this job speaks 1/ } })
  t.match(await answer('{"v":1,"id":5,"kind":"state","stage":1}'), { error: { message: /request "state"/ } })
  t.match(await answer('{"v":1,"id":6,"kind":"status","more":1}'), { error: { message: /more/ } })
  t.match(await answer('{"v":1,"id":7,"kind":"state","stage":"Count","key":0.5}'), {
    error: { code: 'USAGE', message: /key/ }
  })
  t.match(await answer('{"v":1,"id":8,"kind":"status"}'), { ok: true, id: 8, result: { job: 'control' } })
  t.match(await answer('x'.repeat(requestLimitBytes + 1)), { error: { message: /of more than 4194304 bytes/ } })
  await running.stop()
})

void t.test('a checkpoint that the job drops while it is verified is no damage; a file that is missing is', async t => {
  const { running, reference } = await started(t, 100_000_000)
  const verify = (epoch?: number) =>
    askJob<'checkpoint-verify'>(reference, { kind: 'checkpoint-verify', ...(epoch === undefined ? {} : { epoch }) })
  const { epoch: old } = await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  for (let i = 0; i < 6; i++) {
    t.same((await verify()).problems, [])
    await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  }
  await t.rejects(verify(old), { code: 'NOT_FOUND' })
  const { epoch } = await askJob<'savepoint-create'>(reference, { kind: 'savepoint-create', name: 'kept' })
  for (let i = 0; i < 4; i++) await askJob<'checkpoint-create'>(reference, { kind: 'checkpoint-create' })
  t.same((await verify(epoch)).problems, [], 'a savepoint stays')
  await running.stop()
  const { stages } = await askJob<'checkpoint-inspect'>(reference, { kind: 'checkpoint-inspect', epoch })
  const file = stages.flatMap(stage => stage.files)[0]?.name ?? ''
  rmSync(join(reference.folder, 'lineages/1', file))
  t.match((await verify(epoch)).problems, [/RECOVERY_HALTED: file ".*" of epoch \d+ is missing/])
})

class Basket extends Actor {
  items = durableMap<string, { n: number }>()
  last = ''
  receive(event: { key: string; item: string }): void {
    this.items.update(event.item, before => ({ n: (before?.n ?? 0) + 1 }))
    this.last = event.item
  }
}

void t.test('durable maps are shown with their first entries, of this key only', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-control-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const shop = job('shop', j => ({
    baskets: j
      .source(
        'events',
        generator({ count: 600 }, n => ({
          key: n % 2 === 0 ? 'a' : 'a\u0000',
          item: `i${String(n >> 2).padStart(3, '0')}`
        }))
      )
      .keyBy(event => event.key)
      .actor(Basket)
  }))
  const begun = await startJob(shop, { storage: folder, fresh: false })
  if (begun.kind === 'running') await begun.job.ended
  const reference = referenceTo('shop', folder)
  for (const key of ['a', 'a\u0000']) {
    const { fields } = await askJob<'state'>(reference, { kind: 'state', stage: 'Basket', key })
    t.equal(fields?.['last'], 'i149')
    const { $durableMap, more } = fields?.['items'] as { $durableMap: unknown[]; more: number }
    t.equal(more, 50)
    t.equal($durableMap.length, 100)
    t.same($durableMap.slice(0, 2), [
      ['i000', { n: 2 }],
      ['i001', { n: 2 }]
    ])
  }
})
