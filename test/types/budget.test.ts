/** Type-checking stays quick: inference through a long chain of stages must not grow faster than the chain. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')

/** One job of `count` actors in a row, each keyed by another field of what the one before emits. */
function chain(count: number): string {
  const classes = Array.from(
    { length: count },
    (_, i) => `class A${i} extends Actor {
  seen${i} = 0
  receive(e: { id: string; n${i}: number }, ctx: Context<{ id: string; n${i + 1}: number }>) {
    ctx.emit({ id: e.id, n${i + 1}: e.n${i} + this.seen${i}++ })
  }
}`
  )
  const stages = Array.from({ length: count }, (_, i) => `.keyBy(e => e.id + e.n${i}).actor(A${i})`)
  return `import { Actor, generator, job, stdout, type Context } from 'cairn'
${classes.join('\n')}
export default job('chain', j => {
  const source = j.source('s', generator({ count: 1 }, n => ({ id: 'a', n0: n })))
  const end = source${stages.join('\n    ')}
  const last: { id: string; n${count}: number }[] = []
  return { source, end: end.map(e => (last.push(e), e)).to('end', stdout()) }
})
`
}

function checkSeconds(folder: string): { seconds: number; output: string; code: number | null } {
  const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', folder, '--extendedDiagnostics'], {
    encoding: 'utf8'
  })
  return { seconds: Number(/^Check time:\s+([\d.]+)s$/m.exec(stdout)?.[1]), output: stdout, code: status }
}

function project(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-types-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'chain.ts'), text)
  const compilerOptions = {
    target: 'ES2022',
    lib: ['ES2023'],
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    paths: { cairn: [join(root, 'dist/actors/index.d.ts')] }
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['chain.ts'] }))
  return folder
}

void t.test('60 chained stages type-check in under 3 s', t => {
  const folder = project(chain(60))
  // The least of three: what other processes take from this one is not the types' doing.
  const runs = [0, 1, 2].map(() => checkSeconds(folder))
  for (const run of runs) t.equal(run.code, 0, run.output)
  const least = Math.min(...runs.map(run => run.seconds))
  t.comment(`${least} s`)
  t.ok(least < 3, `${least} s`)
  t.end()
})

void t.test('the chain is really checked: a wrong type at its end is an error', t => {
  const wrong = checkSeconds(project(chain(5).replace('n5: number }[]', 'n5: string }[]')))
  t.not(wrong.code, 0)
  t.match(wrong.output, /chain\.ts\(\d+,\d+\): error TS2345/)
  t.end()
})
