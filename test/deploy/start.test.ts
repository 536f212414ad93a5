/** `npm start` as a newcomer meets it: killed in the middle, started again, and once more when all is done. */
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

// A first start fills a topic, and is killed; then it all goes on.
t.setTimeout(600_000)

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

/** A clone that is installed and built, whose demo runs ten times as fast. */
function clone(t: Test): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cairn-start-')))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['deploy', 'examples', 'package.json', 'package-lock.json', 'tsconfig.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true })
  const example = join(folder, 'examples/airports.ts')
  const job = readFileSync(example, 'utf8')
  t.match(job, "pace: '2d'")
  writeFileSync(example, job.replace("pace: '2d'", "pace: '20d'"))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  mkdirSync(join(folder, 'dist'))
  for (const name of readdirSync(join(root, 'dist')))
    if (name !== 'built') symlinkSync(join(root, 'dist', name), join(folder, 'dist', name))
  writeFileSync(join(folder, 'dist/built'), '')
  return folder
}

/** Runs `npm start`'s script; `watch` sees all text so far, each time that some comes. */
function start(
  folder: string,
  watch: (text: string) => void = () => undefined
): Promise<{ code: number; text: string }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['deploy/setup/start.mjs'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part: Buffer) => {
        text += part.toString()
        watch(text)
      })
    child.on('close', code => resolve({ code: code ?? -1, text }))
  })
}

void t.test(
  'npm start fills the topic, goes on after kill -9, sums up, and then says that it has finished',
  async t => {
    const folder = clone(t)
    let killed = 0
    const first = await start(folder, text => {
      const id = Number(/"kill -9 (\d+)"/.exec(text)?.[1])
      if (killed > 0 || !/ checkpoint [1-9][^\n]* read /.test(text)) return
      killed = id
      process.kill(id, 'SIGKILL')
    })
    t.ok(killed > 0)
    t.equal(first.code, 1)
    t.match(first.text, /filled the demo's topic "flights" with 20004 lines[^]*killed by SIGKILL; run npm start again/)
    t.notMatch(first.text, /building|installing|Fingerprint/)

    const second = await start(folder)
    t.equal(second.code, 0, second.text.slice(-500))
    t.notMatch(second.text, /filled/)
    t.match(second.text, /Busiest airports[^]*DFW +1103 [^]*Longest spells[^]*Worst routes[^]*Try next/)
    t.match(second.text, /\n4 lines could not be read, broken on purpose/)

    const third = await start(folder)
    t.equal(third.code, 0)
    t.match(third.text, /has finished[^]*--fresh/)
    t.notMatch(third.text, /kill -9 \d/)
    const fingerprint = /Fingerprint of all output: (\w{12})/
    t.equal(fingerprint.exec(third.text)?.[1], fingerprint.exec(second.text)?.[1])
  }
)
