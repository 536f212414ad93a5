/** Files are small, named in one way, and hold nothing that belongs to one machine. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

/** Above this a file hides more than one thing. */
const lineLimit = 520
/** Owed a split; no file joins this list. */
const longer: Readonly<Record<string, number>> = { 'runtime/core/worker.ts': 600 }
const notOurs = ['node_modules', 'dist', '.git', '.cairn', '.tap', '.cache', 'coverage']
const rooms = ['actors', 'checkpoint', 'runtime', 'runtime/adapters', 'runtime/core', 'deploy', 'simulations', 'test']

/** What git ignores is somebody's own; outside a repository every file counts. */
const tracked = ((): ReadonlySet<string> | undefined => {
  try {
    const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore']
    })
    return new Set(listed.split('\n'))
  } catch {
    return undefined
  }
})()

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (notOurs.includes(entry.name)) return []
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : []
  })
}

/** One sentence per violation. */
function violations(file: string, text: string): string[] {
  const found: string[] = []
  const isCode = /\.(ts|mjs|cjs)$/.test(file)
  if (isCode && !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config))?\.(ts|mjs|cjs)$/.test(basename(file)))
    found.push(`${file} is not named in kebab-case`)
  if (/(^|\/)(utils?|helpers?|misc|common)(\.|\/)/.test(file)) found.push(`${file} is named for nothing in particular`)
  const limit = longer[file] ?? lineLimit
  if (isCode && text.split('\n').length > limit) found.push(`${file} has more than ${limit} lines`)
  if (/^(?!test\/tidy\/).*\.test\.ts$/.test(file) && /\.only\(/.test(text.replace(/'[^'\n]*'|`[^`]*`|\/.*\//g, '')))
    found.push(`${file} runs only a part of its tests`)
  if (isCode && !file.startsWith('test/tidy/') && /(\/tmp\/|\/work\/|\/home\/)\w/.test(text))
    found.push(`${file} names a path of one machine`)
  if (file === 'package-lock.json' && /"resolved": "(https?:)/.test(text)) found.push(`${file} names a registry`)
  if (basename(file) === '.npmrc') found.push(`${file} sets up npm for one machine`)
  if (
    isCode &&
    /^export default /m.test(text) &&
    !/^((simulations\/chaos|deploy\/container|bench\/(checkpoints|cluster))\/job\.ts$|bench\/nexmark\/queries\/q|examples\/|deploy\/templates\/|test\/|[^/]*\.config\.)/.test(
      file
    )
  )
    found.push(`${file} has a default export`)
  return found
}

void t.test('files are small, named by what they hold, complete, and free of one machine', t => {
  const files = filesIn('').filter(file => tracked?.has(file) ?? true)
  t.ok(files.length > 80)
  t.same(
    files.flatMap(file => violations(file, readFileSync(join(root, file), 'utf8'))),
    []
  )
  t.end()
})

void t.test('every room says what lives in it, who may import it and where to start reading', t => {
  for (const room of rooms) {
    const text = existsSync(join(root, room, 'README.md')) ? readFileSync(join(root, room, 'README.md'), 'utf8') : ''
    const lines = text.split('\n').length
    t.ok(lines >= 8 && lines <= 40, `${room}/README.md has ${lines} lines`)
    t.match(text, /import/i, room)
    for (const [, path] of text.matchAll(/`([a-z-]+\/?[a-z-]*\.ts)`/g))
      t.ok(existsSync(join(root, room, path ?? '')), `${room}/README.md names ${path}`)
  }
  t.end()
})

void t.test('the check sees a planted violation of each kind', t => {
  t.same(violations('actors/JobThing.ts', ''), ['actors/JobThing.ts is not named in kebab-case'])
  t.same(violations('actors/utils.ts', ''), ['actors/utils.ts is named for nothing in particular'])
  t.same(violations('actors/long.ts', '\n'.repeat(600)), ['actors/long.ts has more than 520 lines'])
  t.same(violations('test/x.test.ts', `t.${'only'}('a', () => {})`), ['test/x.test.ts runs only a part of its tests'])
  t.same(violations('deploy/x.ts', "const path = '/home/me/x'"), ['deploy/x.ts names a path of one machine'])
  t.same(violations('package-lock.json', '"resolved": "https://host/a.tgz"'), ['package-lock.json names a registry'])
  t.same(violations('.npmrc', ''), ['.npmrc sets up npm for one machine'])
  t.same(violations('actors/x.ts', 'export default 7\n'), ['actors/x.ts has a default export'])
  t.end()
})
