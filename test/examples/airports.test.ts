/** The demo's actors in milliseconds, and the whole demo, killed on the way, at twenty times its speed. */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { fillFlights, flightLines } from '../../deploy/demo/flights.ts'
import { readResults, type Results } from '../../deploy/demo/results.ts'
import { summary } from '../../deploy/demo/summary.ts'
import airports, { Airport, Route, type Flight } from '../../examples/airports.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { drive } from '../../simulations/driver/index.ts'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const dataset = join(root, 'node_modules/vega-datasets/data/flights-20k.json')

const flight = (at: string, delay: number, change: Partial<Flight> = {}): Flight => ({
  date: `2001/01/${at}`,
  delay,
  origin: 'DFW',
  destination: 'ATL',
  ...change
})

void t.test('an airport counts, tells its routes, and reports once it has been quiet for twelve hours', async t => {
  const d = await drive(airports)
  d.flights.push(flight('01 10:00', 10), flight('01 09:30', 90), flight('01 10:05', 20, { destination: 'LAX' }))
  await d.crash()
  d.flights.push(flight('01 10:20', 400))
  await d.settle()
  t.same(d.quiet.take(), [])
  t.equal(d.state(Airport, 'DFW')?.meanDelay, 130)
  t.same(d.state(Route, ['DFW', 'ATL']), { flights: 3, worst: 400 })
  t.same(
    d.routes.take().map(worst => [worst.route, worst.delay]),
    [
      ['DFW → ATL', 90],
      ['DFW → ATL', 400]
    ]
  )
  t.match(d.stranded.take(), [{ delay: 400 }])
  d.flights.push(flight('01 23:59', 0, { origin: 'ORD' }))
  await d.settle()
  t.match(d.quiet.take(), [{ airport: 'DFW', since: '2001-01-01T10:20:00.000Z', flights: 4, meanDelay: 130 }])
})

void t.test('a flight that comes after its windows are gone is late, and still counts for its airport', async t => {
  const d = await drive(airports)
  d.flights.push(flight('03 10:00', 0), flight('02 10:00', 0))
  await d.settle()
  t.match(d.late.take(), [{ date: '2001/01/02 10:00' }])
  t.equal(d.state(Airport, 'DFW')?.flights, 2)
})

void t.test('more than half of the real flights arrive out of order, and four lines are broken on purpose', t => {
  const lines = flightLines(readFileSync(dataset, 'utf8'))
  let latest = ''
  let behind = 0
  let broken = 0
  for (const { text } of lines) {
    const date = /"date":"([^"]*)","delay":-?\d+,"origin":"...","destination":"..."/.exec(text)?.[1]
    if (date === undefined || text.includes('on purpose')) broken++
    else if (date < latest) behind++
    else latest = date
  }
  t.equal(lines.length, 20_004)
  t.equal(broken, 4)
  t.ok(behind > 10_000, `${behind} out of order`)
  t.ok(lines.every((line, i) => i === 0 || line.arrived >= (lines[i - 1]?.arrived ?? 0)))
  t.end()
})

/** The demo in a folder of its own, at forty days a second; killed each time that a failpoint is reached. */
async function demo(t: Test, kills: readonly string[]): Promise<{ results: Results; folder: string }> {
  const cwd = mkdtempSync(join(tmpdir(), 'cairn-demo-'))
  // The job's own file, beside the packages that it imports.
  const beside = mkdtempSync(join(root, 'dist', 'demo-'))
  t.teardown(() => [cwd, beside].forEach(folder => rmSync(folder, { recursive: true, force: true })))
  cpSync(join(root, 'examples/airports.ts'), join(beside, 'airports.ts'))
  const job = join(beside, 'job.ts')
  writeFileSync(
    job,
    `import airports from './airports.ts'
     const faster = node => (node.kind === 'source' ? { ...node, paceMsPerSecond: 40 * 86_400_000 } : node)
     export default { ...airports, plan: { ...airports.plan, nodes: airports.plan.nodes.map(faster) } }`
  )
  const folder = join(cwd, '.cairn/airports')
  t.equal(await fillFlights(join(folder, 'log'), dataset, nodeClock), 20_004)
  t.equal(await fillFlights(join(folder, 'log'), dataset, nodeClock), 0, 'the topic is filled once')
  for (const [n, kill] of [...kills, undefined].entries()) {
    const env = { ...process.env, ...(kill === undefined ? {} : { CAIRN_TEST_KILL_AT: kill }) }
    const { code, text } = await run([join(root, 'deploy/bin/cairn.cjs'), 'run', job, '--interval', '100ms'], cwd, env)
    // A slow disk may leave time for so few checkpoints that the job ends before a later failpoint; never before the first.
    if (n === 0 || kill === undefined) t.equal(code, kill === undefined ? 0 : null, text)
  }
  return { results: await readResults(folder, join(folder, 'out'), nodeClock), folder }
}

function run(args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<{ code: number | null; text: string }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (text += part.toString()))
    child.on('close', code => resolve({ code, text: text.slice(-500) }))
  })
}

void t.test('the demo, killed on the way, says exactly what it says undisturbed', async t => {
  const { results: undisturbed, folder } = await demo(t, [])
  const { results: killed } = await demo(t, ['after-decision:2', 'publish:9', 'before-decision:3'])
  t.equal(killed.fingerprint, undisturbed.fingerprint)
  t.equal(summary(killed), summary(undisturbed))
  t.equal(undisturbed.deadLetters.length, 4)
  t.ok(undisturbed.late.length > 0)
  t.match(summary(undisturbed), /DFW +1103 .*\n.*ORD +1095/)

  // Planted: one record twice.
  writeFileSync(join(folder, 'out/late/twice.ndjson'), `${JSON.stringify(undisturbed.late[0])}\n`)
  const twice = await readResults(folder, join(folder, 'out'), nodeClock)
  t.not(twice.fingerprint, undisturbed.fingerprint, 'the fingerprint sees a record too many')
})
