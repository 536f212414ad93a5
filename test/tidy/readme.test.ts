/** The README names what there is, and what it names is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import * as surface from '../../actors/index.ts'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const filesIn = (folder: string): string[] => readdirSync(join(root, folder), { encoding: 'utf8' }).sort()
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/** Small, and told by their names. */
const unsaid = ['seconds', 'minutes', 'hours', 'days', 'CodedError']

interface There {
  readonly exports: readonly string[]
  readonly commands: readonly string[]
  readonly examples: readonly string[]
  readonly exists: (path: string) => boolean
}

/** One sentence per difference between a README and what is there. */
function differences(text: string, there: There): string[] {
  const code = [...text.matchAll(/```[^]*?```|`[^`\n]+`/g)].map(match => match[0]).join('\n')
  const named = (name: string): boolean => new RegExp(`(^|[^A-Za-z0-9-])${name}($|[^A-Za-z0-9-])`).test(code)
  const found = [
    ...there.exports.filter(name => !named(name)).map(name => `export ${name} is not in it`),
    ...there.commands.filter(name => !named(name)).map(name => `command ${name} is not in it`),
    ...there.examples
      .filter(name => !text.includes(`(examples/${name})`))
      .map(name => `examples/${name} is not in its table`)
  ]
  for (const [, path = ''] of text.matchAll(/\]\(([^)#:]+)\)/g))
    if (!there.exists(path)) found.push(`it links to ${path}, which is not there`)
  return found
}

const there: There = {
  exports: Object.keys(surface).filter(name => !unsaid.includes(name)),
  commands: filesIn('deploy/commands').map(name => name.slice(0, -'.ts'.length)),
  examples: filesIn('examples').filter(name => name.endsWith('.ts')),
  exists: path => existsSync(join(root, path))
}

void t.test('every export, command and example is in the README, and its links lead somewhere', t => {
  t.ok(there.exports.length > 15 && there.commands.length > 4)
  t.same(differences(readme, there), [])
  t.end()
})

void t.test('every example has a test of its own', t => {
  const tests = filesIn('test/examples')
  for (const example of there.examples) t.ok(tests.includes(example.replace(/\.ts$/, '.test.ts')), example)
  t.end()
})

void t.test('the check sees a planted difference of each kind', t => {
  const small: There = { exports: ['job'], commands: ['run'], examples: ['a.ts'], exists: path => path !== 'gone.md' }
  t.same(differences('`job(` and `cairn run`, [a.ts](examples/a.ts)', small), [])
  t.same(differences('jobs and `jobs`, [b](gone.md)', small), [
    'export job is not in it',
    'command run is not in it',
    'examples/a.ts is not in its table',
    'it links to gone.md, which is not there'
  ])
  t.end()
})
