/** What is found in jobs whose model nobody wrote, and what is not held against them. */
import { join } from 'node:path'
import t from 'tap'
import { firstFailure, openText, runSeed } from '../../support/user-lab.ts'

/** Counts events of a key; `handler` is what a test is about. */
const counting = (
  handler: string,
  rest: { before?: string; fields?: string; after?: string; options?: string } = {}
): string => `
  import { Actor, generator, job, json, service, topic, durableMap, lines, csv, text, type Context } from 'cairn'
  import { invariant, simulationOf, standIn } from 'cairn/testing'
  ${rest.before ?? ''}
  type Event = { key: string; n: number }
  export class Counter extends Actor {
    count = 0
    ${rest.fields ?? ''}
    async receive(event: Event, ctx: Context<object>) { ${handler} }
  }
  const counts = job('counts', j => {
    const events = j.source('events', generator<Event>({ count: 1000 }, n => ({ key: 'k' + (n % 7), n })), { time: event => event.n })
    return { events, out: events.keyBy(event => event.key).actor(Counter${rest.options ?? ''}).to('out', topic('out', { value: json<object>(), key: (row: any) => row.key })) }
  })
  export default counts
  ${rest.after ?? ''}
`
const emit = 'this.count++; ctx.emit({ key: ctx.key, n: event.n, count: this.count })'
const small = { records: 120 }

void t.test('a job without a mistake passes, the same each time, with its crashes', async t => {
  const job = await openText(t, counting(`${emit}; if (ctx.random() > 2) await null`))
  let recoveries = 0
  for (let seed = 1; seed <= 2; seed++) {
    const [one, two] = [await runSeed(job, seed, small), await runSeed(job, seed, small)]
    t.equal(one.outcome, 'passed', JSON.stringify(one.findings))
    t.equal(one.traceHash, two.traceHash)
    t.same(one.notes, [])
    recoveries += one.recoveries
  }
  t.ok(recoveries > 0)
})

void t.test('what is kept in a module variable is lost in a crash, and that is found', async t => {
  const job = await openText(
    t,
    counting(
      'kept.set(ctx.key, (kept.get(ctx.key) ?? 0) + 1); ctx.emit({ key: ctx.key, n: event.n, count: kept.get(ctx.key) })',
      {
        before: 'const kept = new Map<string, number>()'
      }
    )
  )
  const failure = await firstFailure(job, 8, { ...small, only: ['crash'] })
  t.match(failure?.findings[0], {
    checker: 'same as without faults',
    violation: /^sink "out": expected once \{"key":"k\d"/
  })
})

void t.test('chance that is not the event’s own is found, with its place; that of ctx is not', async t => {
  const job = await openText(
    t,
    counting('ctx.emit({ key: ctx.key, n: event.n, draw: Math.random(), own: ctx.random() })')
  )
  const { findings } = await runSeed(job, 1, small)
  t.match(findings, [{ checker: 'chance', violation: /Use ctx\.random\(\).*\(job\.ts:\d+:\d+\)/ }])
})

void t.test('a handler that waits on the outside fails the run, with stage, key, event and remedy', async t => {
  const job = await openText(t, counting('if (event.n === 30) await new Promise(() => {}); this.count++'))
  const { findings, simulatedMs } = await runSeed(job, 1, { ...small, only: [] })
  t.match(findings, [
    {
      checker: 'outside',
      violation:
        /^stage "Counter", key k2, event events\/0\/30 \{"key":"k2","n":30\}: its handler waits on the outside.*service\(/
    }
  ])
  t.ok(simulatedMs < 60_000)
})

void t.test('a handler that waits for a timer or a service does not wait on the outside', async t => {
  const job = await openText(
    t,
    counting(
      `if (event.n === 30) await new Promise(resolve => setTimeout(resolve, 3_000)); await slow.down(); ${emit}`,
      {
        before: "const slow = service('slow', { down: async () => {} })",
        after: 'export const simulation = simulationOf(counts, { services: [standIn(slow, () => ({ down() {} }))] })'
      }
    )
  )
  t.match(await runSeed(job, 1, { ...small, only: [] }), { outcome: 'passed' })
})

void t.test('what reaches outside, and a service without a stand-in, fail the run at once', async t => {
  const outside = await openText(
    t,
    counting("await readFile('rates.json'); this.count++", { before: "import { readFile } from 'node:fs/promises'" })
  )
  t.match((await runSeed(outside, 1, small)).findings, [
    { checker: 'outside', violation: /world: node:fs\/promises\.readFile \(job\.ts:\d+:\d+\); name it with service/ }
  ])
  const alone = await openText(
    t,
    counting('await bank.charge(1); this.count++', {
      before: "const bank = service('bank', { charge: async (n: number) => {} })"
    })
  )
  t.match((await runSeed(alone, 1, small)).findings, [
    { checker: 'outside', violation: /^service "bank" has no stand-in/ }
  ])
})

void t.test('a job that fails without any fault is said to', async t => {
  const job = await openText(t, counting("if (event.n === 50) throw new Error('fifty')"))
  const { findings } = await runSeed(job, 1, { ...small, only: [] })
  t.match(findings[0], {
    checker: 'calm run',
    violation: /^the job fails without any fault: stage "Counter", key k1, event events\/0\/50: fifty/
  })
})

void t.test('invariants of state, output and services are checked; one that throws does not hold', async t => {
  const job = await openText(
    t,
    counting(`this.seen.set(event.n, 1); await bank.charge(event.n); ${emit}`, {
      fields: 'seen = durableMap<number, number>()',
      before: "const bank = service('bank', { charge: async (n: number) => {} })",
      after: `export const simulation = simulationOf(counts, {
        services: [standIn(bank, () => ({ charge() {} }))],
        invariants: [
          invariant('holds', Counter, ({ seen, count }) => (seen as unknown as Map<number, number>).size === count),
          invariant('few', Counter, ({ count }, key) => count < 5 || 'too many for ' + key),
          invariant('no rows', counts.handles.out, rows => rows.length === 0),
          invariant('throws', bank, calls => { throw new Error('of ' + calls[0].method + calls[0].args[0]) })
        ]
      })`
    })
  )
  const { findings } = await runSeed(job, 1, { ...small, only: [] })
  const violations = findings.map(({ checker, violation }) => `${checker}: ${violation}`)
  t.match(violations[0], /^invariant: "few" does not hold: stage "Counter", key k\d, checkpoint \d+: too many for k\d$/)
  t.match(violations.at(-2), /^invariant: "no rows" does not hold: sink "out": found 120 rows$/)
  t.match(violations.at(-1), /^invariant: "throws" does not hold: service "bank": the check throws: of charge\d/)
  t.notOk(violations.some(each => each.includes('"holds"')))
})

void t.test('what differs between runs without faults is not held against a run with faults, but told', async t => {
  const job = await openText(
    t,
    `import { Actor, generator, job, json, topic, type Context } from 'cairn'
    class Last extends Actor {
      last = ''
      receive(event: { from: string; n: number }, ctx: Context<object>) {
        ctx.emit({ before: this.last, n: event.n })
        this.last = event.from + event.n
      }
    }
    export default job('last', j => {
      const one = j.source('one', generator({ count: 100 }, n => ({ from: 'one', n })))
      const two = j.source('two', generator({ count: 100 }, n => ({ from: 'two', n })))
      return { out: one.union(two).keyBy(({ n }) => 'k' + n % 3).actor(Last).to('out', topic('out', { value: json<object>() })) }
    })`
  )
  // Where a run comes out as the first one without faults did, there is nothing to tell.
  const notes: string[] = []
  for (let seed = 1; seed <= 4; seed++) {
    const result = await runSeed(job, seed, small)
    t.equal(result.outcome, 'passed', JSON.stringify(result.findings))
    notes.push(...(result.notes ?? []))
  }
  t.match(notes[0], /^sink "out" is not compared: runs without faults differ there too/)
})

void t.test('events come from files as they are, from the job file, or it is said how to give them', async t => {
  const rows = Array.from({ length: 40 }, (_, n) => `k${n % 3},${n}`).join('\n')
  const fromFile = (source: string, after = ''): string => `
    import { Actor, csv, job, json, text, lines, topic, type Context } from 'cairn'
    import { simulationOf } from 'cairn/testing'
    class Sum extends Actor {
      sum = 0
      receive({ n }: { key: string; n: number }, ctx: Context<object>) { this.sum += n; ctx.emit({ key: ctx.key, sum: this.sum }) }
    }
    const sums = job('sums', j => {
      const rows = j.source('rows', ${source})
      return { rows, out: rows.map((row: any) => ({ key: row.key, n: Number(row.n) })).keyBy(row => row.key).actor(Sum).to('out', topic('out', { value: json<object>() })) }
    })
    export default sums
    ${after}
  `
  const folder = t.testdir({ 'rows.csv': `key,n\n${rows}\n` })
  const csv = await openText(t, fromFile(`csv(${JSON.stringify(join(folder, '..', 'rows.csv'))})`)).catch(
    (error: unknown) => error
  )
  t.match(csv, { code: 'INPUT_MISSING' })
  const files = { 'rows.csv': `key,n\n${rows}\n` }
  const path = join(t.testdirName, 'rows.csv')
  const read = await openText(t, fromFile(`csv(${JSON.stringify(path)})`), files)
  t.match(await runSeed(read, 1, small), { outcome: 'passed', description: /40 events/ })
  const given = await openText(
    t,
    fromFile(
      "topic('rows', { value: json<{ key: string; n: number }>() })",
      "export const simulation = simulationOf(sums, { events: { rows: function* (random) { for (;;) yield { key: 'k' + random.int(3), n: random.int(9) } } } })"
    )
  )
  t.match(await runSeed(given, 1, small), { outcome: 'passed', description: /120 events/ })
  await t.rejects(openText(t, fromFile("topic('rows', { value: json<any>() })")), {
    code: 'JOB_FILE_INVALID',
    message: /source "rows" reads a topic/,
    remedy: /simulationOf\(job, \{ events: \{ rows: /
  })
  await t.rejects(
    openText(
      t,
      fromFile(
        "topic('rows', { value: json<any>() })",
        'export const simulation = simulationOf(sums, { events: { out: [] } as any })'
      )
    ),
    {
      message: /"out" is no source among the job's handles \(job\.ts/
    }
  )
})
