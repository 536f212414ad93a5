/** What npm would hand out works by itself: installed in an empty folder, type-checked there in full, and run. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cairn-package-')))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
t.setTimeout(600_000)

function run(cwd: string, command: string, ...args: string[]): { code: number | null; text: string } {
  // npm hands its own settings on to what it runs; the folder must stand by itself.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle)/.test(name)))
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 150_000 })
  return { code: status, text: `${stdout}${stderr}${error?.message ?? ''}` }
}
function succeeded(t: Test, ran: { code: number | null; text: string }): void {
  if (ran.code !== 0) t.comment(ran.text)
  t.equal(ran.code, 0)
}
/** The first block of code in `language` that holds `mark`. */
function fromReadme(language: string, mark: string): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  for (const [, code] of readme.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm')))
    if (code?.includes(mark) === true) return code
  throw new Error(`README.md has no ${language} code with "${mark}"`)
}

const config = (lib: readonly string[], files: readonly string[]): string =>
  JSON.stringify({
    compilerOptions: {
      strict: true,
      exactOptionalPropertyTypes: true,
      target: 'ES2022',
      lib,
      module: 'NodeNext',
      noEmit: true,
      rewriteRelativeImportExtensions: true,
      skipLibCheck: false,
      types: []
    },
    files
  })

const visits = `
import { Actor, files, generator, hours, job, json, output, type Context } from 'cairn'
import { drive } from 'cairn/testing'
import { z } from 'zod'

const Visit = z.object({ user: z.string(), page: z.string(), at: z.number() })
type Visit = z.infer<typeof Visit>
export class Visitor extends Actor {
  static outputs = { long: output<{ user: string }>() }
  pages = new Map<string, number>()
  receive(visit: Visit, ctx: Context<{ user: string; pages: number }>) {
    this.pages.set(visit.page, (this.pages.get(visit.page) ?? 0) + 1)
    if (this.pages.size > 9) ctx.emitTo(Visitor.outputs.long, { user: ctx.key })
    ctx.timer('leave', ctx.time + hours(1))
  }
  override onTimer(_name: string, ctx: Context<{ user: string; pages: number }>) {
    ctx.emit({ user: ctx.key, pages: this.pages.size })
    ctx.forget()
  }
}
const Report = z.object({ user: z.string(), pages: z.number() })
const visits = job('visits', j => {
  const source = j.source('visits', generator<Visit>({ count: 0 }, n => ({ user: 'u', page: 'p', at: n })), { time: v => v.at })
  const visitors = source.keyBy(v => v.user).actor(Visitor)
  return { source, reports: visitors.to('reports', files('reports', json(Report))), long: visitors.output('long') }
})
export default visits
export async function check(): Promise<number> {
  const t = await drive(visits)
  const refused = () => {
    // @ts-expect-error a visit has a page
    t.source.push({ user: 'ann', at: 1 })
    // @ts-expect-error users are text
    t.state(Visitor, 7)
  }
  t.source.push({ user: 'ann', page: '/', at: 1 })
  t.source.end()
  await t.settle()
  return refused.length + t.reports.take().reduce((sum, each) => sum + each.pages, 0)
}
`

void t.test('the packed package installs into an empty folder', t => {
  const packed = run(root, 'npm', 'pack', '--silent', '--pack-destination', folder)
  succeeded(t, packed)
  const tarball = readdirSync(folder).find(name => name.endsWith('.tgz')) ?? ''
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'newcomer', private: true, type: 'module' }))
  const installed = run(
    folder,
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    `./${tarball}`,
    'zod@^4'
  )
  succeeded(t, installed)
  const holds = readdirSync(join(folder, 'node_modules/cairn'))
  t.match(holds.join(' '), /LICENSE.*README\.md.*dist/)
  t.notOk(existsSync(join(folder, 'node_modules/cairn/dist/test')), 'tests stay at home')
  t.end()
})

void t.test('a job type-checks there in full, its mistakes are refused, and its own test runs', t => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  writeFileSync(join(folder, 'visits.ts'), visits)
  writeFileSync(join(folder, 'job.ts'), fromReadme('ts', 'extends Actor'))
  writeFileSync(join(folder, 'try.ts'), fromReadme('ts', 'await drive('))
  // Cairn's own types ask for the language only; zod's ask for URL.
  writeFileSync(join(folder, 'tsconfig.json'), config(['ES2023'], ['job.ts']))
  t.same(run(folder, process.execPath, tsc, '-p', '.'), { code: 0, text: '' })
  writeFileSync(join(folder, 'tsconfig.json'), config(['ES2023', 'DOM'], ['visits.ts', 'try.ts']))
  const emitted = run(folder, process.execPath, tsc, ...['-p', '.', '--noEmit', 'false', '--outDir', 'out'])
  t.same(emitted, { code: 0, text: '' })
  writeFileSync(
    join(folder, 'check.js'),
    "import { check } from './out/visits.js'\nconsole.log(`pages ${await check()}`)\n"
  )
  t.same(run(folder, process.execPath, 'check.js'), { code: 0, text: 'pages 1\n' })
  t.same(run(folder, process.execPath, 'out/try.js'), {
    code: 0,
    text: "[\n  { user: 'ann', count: 1 },\n  { user: 'bob', count: 1 },\n  { user: 'ann', count: 2 }\n]\n"
  })
  t.end()
})

void t.test("the README's job runs there", t => {
  const ran = run(folder, 'npx', '--no-install', 'cairn', 'run', 'job.ts')
  succeeded(t, ran)
  const counts = readdirSync(join(folder, 'counts'))
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name => readFileSync(join(folder, 'counts', name), 'utf8').split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as { user: string; count: number })
  t.equal(counts.length, 1000)
  t.equal(Math.max(...counts.map(each => each.count)), 143)
  t.equal(
    counts.reduce((sum, each) => sum + each.count, 0),
    6 * ((143 * 144) / 2) + (142 * 143) / 2
  )
  const again = run(folder, 'npx', '--no-install', 'cairn', 'run', 'job.ts')
  t.match(again, { code: 0, text: /has finished/ })
  t.end()
})
