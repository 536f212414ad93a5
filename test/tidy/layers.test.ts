/** Imports go one way, and the pure rooms have no clock, randomness or I/O. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

/** What a room may import, itself apart. The first prefix that matches a file is its room. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'runtime/kernel': [],
  'runtime/ports': ['runtime/kernel'],
  'runtime/kafka-protocol': ['runtime/kernel'],
  'runtime/core': ['runtime/kernel', 'runtime/ports', 'actors', 'checkpoint'],
  'runtime/shell': ['runtime/kernel', 'runtime/ports', 'runtime/core', 'actors', 'checkpoint'],
  'runtime/packages': ['runtime/kernel'],
  'runtime/adapters': ['runtime/kernel', 'runtime/ports', 'runtime/kafka-protocol', 'runtime/packages'],
  'checkpoint/adapters': ['runtime/kernel', 'runtime/ports', 'runtime/packages', 'checkpoint'],
  actors: ['runtime/kernel'],
  checkpoint: ['runtime/kernel', 'runtime/ports']
}
const pure = ['runtime/kernel', 'runtime/ports', 'runtime/kafka-protocol', 'runtime/core', 'actors', 'checkpoint']
const ambient = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bset(Timeout|Interval|Immediate)\(|\bprocess\./
const allowedBuiltIns: Readonly<Record<string, readonly string[]>> = {
  'actors/avro-compile.ts': ['avsc'],
  'runtime/kernel/checksum.ts': ['node:crypto', 'node:zlib']
}

const roomOf = (file: string): string | undefined => Object.keys(mayImport).find(room => file.startsWith(`${room}/`))

/** One sentence per violation. */
function violations(file: string, text: string): string[] {
  const room = roomOf(file)
  if (room === undefined) return []
  const found: string[] = []
  for (const [, target] of text.matchAll(/^(?:import|export)[^'"]*from '([^']+)'/gm)) {
    if (target === undefined) continue
    if (!target.startsWith('.')) {
      if (pure.includes(room) && !(allowedBuiltIns[file] ?? []).includes(target))
        found.push(`${file} imports ${target}`)
      continue
    }
    const imported = relative(root, resolve(root, dirname(file), target))
    const other = roomOf(imported)
    if (other !== room && (other === undefined || !(mayImport[room] as readonly string[]).includes(other)))
      found.push(`${file} imports ${imported}`)
  }
  const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, '')
  if (pure.includes(room) && ambient.test(code)) found.push(`${file} uses ${ambient.exec(code)?.[0] ?? ''}`)
  return found
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? sources(path) : entry.name.endsWith('.ts') ? [path] : []
  })
}

void t.test('no room imports what it must not, and the pure ones stay pure', t => {
  const files = ['actors', 'checkpoint', 'runtime'].flatMap(sources)
  t.ok(files.length > 40)
  t.same(
    files.flatMap(file => violations(file, readFileSync(join(root, file), 'utf8'))),
    []
  )
  t.end()
})

void t.test('the check sees a planted violation of each kind', t => {
  t.same(violations('runtime/core/x.ts', "import { a } from '../shell/y.ts'\n"), [
    'runtime/core/x.ts imports runtime/shell/y.ts'
  ])
  t.same(violations('actors/x.ts', "import type { A } from '../checkpoint/y.ts'\n"), [
    'actors/x.ts imports checkpoint/y.ts'
  ])
  t.same(violations('checkpoint/x.ts', "import { readFile } from 'node:fs'\n"), ['checkpoint/x.ts imports node:fs'])
  t.same(violations('runtime/core/x.ts', 'const now = Date.now()\n'), ['runtime/core/x.ts uses Date.now('])
  t.end()
})
