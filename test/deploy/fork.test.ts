/** Savepoints, going back to them, and what both lineages have published, by real processes. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CairnFolder } from './cairn-cli.ts'

t.setTimeout(600_000)

const jobText = `
import { Actor, files, job, json, topic, type Context } from 'cairn'
type Visit = { readonly user: string; readonly page: string }
class Visits extends Actor {
  count = 0
  receive(visit: Visit, ctx: Context<string>): void {
    this.count++
    ctx.emit(\`\${visit.page} is number \${this.count}\`)
  }
}
export default job('visits', j => ({
  out: j.source('pages', topic('pages', { value: json<Visit>() })).keyBy(visit => visit.user).actor(Visits).to('out', files('out', json<string>()))
}), { interval: '20ms' })
`

function outputs(folder: CairnFolder, lineage: number): string[] {
  const start = `00${lineage}.`
  return readdirSync(join(folder.path, 'out'))
    .filter(name => name.startsWith(start) && name.endsWith('.ndjson'))
    .flatMap(name => readFileSync(join(folder.path, 'out', name), 'utf8').split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as string)
}

const numbered = (from: number, pages: string): string[] => [...pages].map((page, i) => `${page} is number ${from + i}`)

class Shop extends CairnFolder {
  readonly job = this.file('visits.ts', jobText)

  append(pages: string): void {
    const values = [...pages].map(page => JSON.stringify({ user: 'u', page }))
    const { code, stderr } = this.cairn('log', 'append', this.job, 'pages', ...values)
    if (code !== 0) throw new Error(stderr)
  }

  /** Runs it until `pages` have been published, then drains it; answers what it said. */
  async until(
    lineage: number,
    pages: number,
    flags: readonly string[] = [],
    then = (): void => undefined
  ): Promise<string> {
    const run = this.start('run', this.job, ...flags)
    await run.until(/visits/)
    for (let left = 2000; left > 0 && this.count(lineage) < pages; left--)
      await new Promise(resolve => setTimeout(resolve, 10))
    then()
    this.cairn('stop', 'visits')
    return (await run.ended).stderr
  }

  private count(lineage: number): number {
    try {
      return outputs(this, lineage).length
    } catch {
      return 0
    }
  }
}

function shop(t: Test): Shop {
  const folder = new Shop()
  t.teardown(() => folder.remove())
  return folder
}

void t.test(
  'back to a savepoint: refused without --fork; with it, the new lineage publishes again what came since',
  async t => {
    const folder = shop(t)
    folder.append('abc')
    await folder.until(1, 3, [], () => {
      t.match(folder.cairn('savepoint', 'create', 'visits', 'early'), { code: 0 })
      folder.append('de')
    })
    await folder.until(1, 5)
    t.same(outputs(folder, 1), numbered(1, 'abcde'))

    const refused = folder.cairn('run', folder.job, '--restore', 'early')
    t.match(refused, { code: 1, stderr: /FORK_NEEDED.*savepoint "early".*is not the newest/s })
    t.match(refused.stderr, /published again.*lineage 1 ends/s)
    t.match(folder.cairn('run', folder.job, '--restore', 'erly', '--fork'), {
      code: 1,
      stderr: /NOT_FOUND.*"erly".*early \(checkpoint \d+ of lineage 1\)/s
    })

    t.match(await folder.until(2, 2, ['--restore', 'early', '--fork']), /goes back to savepoint "early".*lineage 2/s)
    t.same(outputs(folder, 1), numbered(1, 'abcde'), 'what was published stays')
    t.same(outputs(folder, 2), numbered(4, 'de'), 'the same input again, from the state of then')

    folder.append('f')
    await folder.until(2, 3)
    t.same(outputs(folder, 2), numbered(4, 'def'), 'the next start goes on in the newest lineage')
    t.match(JSON.parse(folder.cairn('checkpoint', 'list', 'visits', '--output', 'json').stdout), [{ lineage: 2 }])
    t.match(folder.cairn('checkpoint', 'verify', 'visits').code, 0)
    t.match(folder.cairn('state', 'get', 'visits', 'Visits', 'u').stdout, /count +6/)
    t.match(JSON.parse(folder.cairn('savepoint', 'list', 'visits', '--output', 'json').stdout), [
      { name: 'early', lineage: 1 }
    ])

    t.match(await folder.until(3, 3, ['--restore', 'early', '--fork']), /lineage 3; lineage 2 has ended/)
    t.same(outputs(folder, 3), numbered(4, 'def'), 'a savepoint of a lineage that is over')

    await folder.until(1, 6, ['--fresh'])
    t.same(outputs(folder, 1), numbered(1, 'abcdef'), '--fresh begins with lineage 1')
  }
)

void t.test('back to the newest checkpoint: the same lineage goes on', async t => {
  const folder = shop(t)
  folder.append('ab')
  await folder.until(1, 2, [], () => {
    t.match(folder.cairn('savepoint', 'create', 'visits', 'now'), { code: 0 })
  })
  const [{ epoch }] = JSON.parse(folder.cairn('checkpoint', 'list', 'visits', '--output', 'json').stdout) as [
    { epoch: number }
  ]
  folder.append('c')
  const said = await folder.until(1, 3, ['--restore', String(epoch)])
  t.match(said, /it goes on in lineage 1/)
  t.same(outputs(folder, 1), numbered(1, 'abc'))
})

void t.test('flags that contradict each other', async t => {
  const folder = shop(t)
  t.match(folder.cairn('run', folder.job, '--fork'), { stderr: /OPTION_INVALID: --fork/ })
  t.match(folder.cairn('run', folder.job, '--restore', 'a', '--fresh'), { stderr: /OPTION_INVALID: --fresh/ })
  t.match(folder.cairn('run', folder.job, '--restore', '7'), {
    stderr: /NOT_FOUND.*no savepoint or checkpoint "7".*none/s
  })
})
