/** State of an older version of the code under a newer one, on real storage. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Actor, files, generator, job, json, type ActorClass, type Context } from '../../actors/index.ts'
import type { RunningJob } from '../../deploy/running-job.ts'
import { startJob } from '../../deploy/start-job.ts'

type Event = { readonly user: string }

class First extends Actor {
  static actorName = 'Visits'
  count = 0
  seen = ['home']
  receive(_event: Event, ctx: Context<string>): void {
    this.count++
    ctx.emit(`${ctx.key} ${this.count}`)
  }
}

/** `count` has become `visits`, and counts double. */
class Second extends Actor {
  static actorName = 'Visits'
  static version = 2
  static migrate(old: Record<string, unknown>, from: number): Record<string, unknown> {
    return { visits: (old['count'] as number) * 2 + from - 1 }
  }
  visits = 0
  seen: string[] = []
  note = 'new'
  receive(_event: Event, ctx: Context<string>): void {
    this.visits++
    ctx.emit(`${ctx.key} ${this.visits} ${this.seen.join()} ${this.note}`)
  }
}

/** The same rename, forgotten. */
class Careless extends Actor {
  static actorName = 'Visits'
  visits = 0
  seen: string[] = []
  receive(): void {
    this.visits++
  }
}

class Dropping extends Careless {
  static override actorName = 'Visits'
  static drops = ['count']
}

class FirstAvro extends First {
  static override actorName = 'Visits'
  static schema = {
    type: 'record',
    name: 'Visits',
    fields: [
      { name: 'count', type: 'int' },
      { name: 'seen', type: { type: 'array', items: 'string' } }
    ]
  }
}

/** `count` has another name, and more room. */
class SecondAvro extends Actor {
  static actorName = 'Visits'
  static schema = {
    type: 'record',
    name: 'Visits',
    fields: [
      { name: 'visits', aliases: ['count'], type: 'long' },
      { name: 'seen', type: { type: 'array', items: 'string' } },
      { name: 'note', type: 'string', default: 'from the schema' }
    ]
  }
  visits = 0
  seen: string[] = []
  note = ''
  receive(_event: Event, ctx: Context<string>): void {
    this.visits++
    ctx.emit(`${ctx.key} ${this.visits} ${this.seen.join()} ${this.note}`)
  }
}

function visits(folder: string, count: number, actor: unknown, stage = 'Visits') {
  return job('visits', j => {
    const events = j.source(
      'events',
      generator<Event>({ count }, n => ({ user: `u${n % 3}` }))
    )
    const keyed = events.keyBy(event => event.user).actor(actor as ActorClass & typeof First, { name: stage })
    return { out: keyed.to('out', files(join(folder, 'out'), json<string>())) }
  })
}

function storage(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-evolution-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function written(folder: string): string[] {
  return readdirSync(join(folder, 'out'))
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name =>
      readFileSync(join(folder, 'out', name), 'utf8')
        .split('\n')
        .filter(Boolean)
    )
}

/** A job that is stopped in the middle of an endless input, so that it can be started again with other code. */
async function halfWay(folder: string, actor: unknown = First): Promise<void> {
  const started = await startJob(visits(folder, 1_000_000_000, actor), {
    storage: folder,
    fresh: false,
    intervalMs: 20
  })
  if (started.kind !== 'running') throw new Error('it had finished')
  await handled(started.job)
  await started.job.drain()
}

async function handled({ status }: RunningJob): Promise<void> {
  while (status().events < 300) await new Promise(resolve => setImmediate(resolve))
}

void t.test('version-1 state under version-2 code, by migrate; new fields have their initial values', async t => {
  const folder = storage(t)
  await halfWay(folder)
  const before = new Map(
    written(folder)
      .map(line => JSON.parse(line) as string)
      .map(line => [line.split(' ')[0], Number(line.split(' ')[1])])
  )
  const started = await startJob(visits(folder, 1_000_000_000, Second), { storage: folder, fresh: false })
  if (started.kind !== 'running') throw new Error('it had finished')
  await handled(started.job)
  const state = await started.job.state('Visits', 'u1')
  await started.job.drain()
  t.ok((state?.['visits'] as number) > (before.get('u1') ?? 0) * 2)
  t.match(state, { seen: ['home'], note: 'new' })
  const first = written(folder)
    .map(line => JSON.parse(line) as string)
    .filter(line => line.startsWith('u1 ') && line.endsWith('home new'))
    .map(line => Number(line.split(' ')[1]))
  t.equal(Math.min(...first), (before.get('u1') ?? 0) * 2 + 1, 'it went on from the migrated field')
})

void t.test('state by an Avro schema under a newer schema: resolved, or refused before the start', async t => {
  const folder = storage(t)
  await halfWay(folder, FirstAvro)
  const before = written(folder).filter(line => line.startsWith('"u1 ')).length
  class Careless extends SecondAvro {
    static override actorName = 'Visits'
    static override schema = {
      ...SecondAvro.schema,
      fields: SecondAvro.schema.fields.map(({ aliases: _, ...field }: { aliases?: unknown }) => field)
    } as never
  }
  await t.rejects(startJob(visits(folder, 9, Careless), { storage: folder, fresh: false }), {
    code: 'STATE_INCOMPATIBLE',
    message: /Visits: what is stored cannot be read by static schema: .*visits/
  })
  const started = await startJob(visits(folder, 1_000_000_000, SecondAvro), { storage: folder, fresh: false })
  if (started.kind !== 'running') throw new Error('it had finished')
  await handled(started.job)
  await started.job.drain()
  const after = written(folder).filter(line => line.startsWith('"u1 ') && line.includes('from the schema'))
  t.match(after[0], `"u1 ${before + 1} home from the schema"`, 'it went on from what the older schema wrote')
})

void t.test(
  'a renamed field without migrate is refused before start, naming actor and field; nothing is changed',
  async t => {
    const folder = storage(t)
    await halfWay(folder)
    await t.rejects(startJob(visits(folder, 9, Careless), { storage: folder, fresh: false }), {
      code: 'STATE_INCOMPATIBLE',
      message: /Visits\.count is stored but not in the class/
    })
    const started = await startJob(visits(folder, 1_000_000_000, Dropping), { storage: folder, fresh: false })
    t.equal(started.kind, 'running', 'drops gives the field up')
    if (started.kind === 'running') await started.job.drain()
  }
)

void t.test('stored state without a stage is refused, unless it is dropped explicitly', async t => {
  const folder = storage(t)
  await halfWay(folder)
  const renamed = visits(folder, 1_000_000_000, First, 'Calls')
  await t.rejects(startJob(renamed, { storage: folder, fresh: false }), {
    code: 'STATE_INCOMPATIBLE',
    message: /stage "Visits" has stored state, but the job has no such stage; give it up with --drop-state Visits/
  })
  const started = await startJob(renamed, { storage: folder, fresh: false, dropState: ['Visits'] })
  t.equal(started.kind, 'running')
  if (started.kind === 'running') await started.job.drain()
  const again = await startJob(renamed, { storage: folder, fresh: false })
  t.equal(again.kind, 'running', 'it is gone: nothing is asked the next time')
  if (again.kind === 'running') await again.job.drain()
})
