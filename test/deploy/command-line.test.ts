/** Bad input on the command line: a clear sentence, the right exit code, nothing lost. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const folder = mkdtempSync(join(tmpdir(), 'cairn-cli-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

function cairn(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'deploy/bin/cairn.cjs'), ...args], {
    cwd: folder,
    encoding: 'utf8'
  })
  return { code: status, stdout, stderr }
}
function jobFile(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}
const counting = (input: string): string => `
import { Actor, job, json, lines, files } from 'cairn'
class Count extends Actor {
  count = 0
  receive(event, ctx) {
    if (event.boom) throw new Error('boom in the handler')
    ctx.emit({ key: ctx.key, count: ++this.count })
  }
}
export default job('count', j => {
  const source = j.source('events', lines('${input}', json()))
  return { out: source.keyBy(e => e.key).actor(Count).to('out', files('out', json())) }
})`

void t.test('an unknown option and an unknown command are usage errors', t => {
  t.match(cairn('run', 'x.ts', '--frsh'), { code: 2, stderr: /unknown option '--frsh'[^]*--fresh/ })
  t.match(cairn('rum'), { code: 2, stderr: /unknown command 'rum'/ })
  t.match(cairn('run', '--help'), { code: 0, stdout: /Examples:/ })
  t.end()
})

void t.test('a job file that is missing, throws, does not compile or exports nothing is named', t => {
  const rejected = (name: string, stderr: RegExp): unknown => t.match(cairn('run', name), { code: 1, stderr })
  rejected('missing.ts', /JOB_FILE_INVALID: job file "missing.ts" cannot be read/)
  rejected(jobFile('throws.ts', "throw new Error('at the top')"), /throws while it is loaded: at the top[^]*throws\.ts/)
  rejected(jobFile('broken.ts', 'const = 1'), /does not compile/)
  rejected(jobFile('nothing.ts', 'export const x = 1'), /exports no job as its default/)
  t.end()
})

void t.test('an absent input is named, and the job runs once it is there', t => {
  const file = jobFile('count.ts', counting('events.ndjson'))
  t.match(cairn('run', file), { code: 1, stderr: /INPUT_MISSING: input ".*events.ndjson" cannot be read: ENOENT/ })
  writeFileSync(join(folder, 'events.ndjson'), '{"key":"a"}\n{"key":"b"}\r\n\n{"key":"a"}')
  t.match(cairn('run', file), { code: 0, stderr: /finished/ })
  t.match(cairn('run', file), { code: 0, stderr: /has finished.*; start over with --fresh/ })
  t.match(cairn('run', file, '--fresh'), { code: 0, stderr: /3 read/ })
  t.match(cairn('run', file, '--storage', 'elsewhere'), {
    code: 1,
    stderr:
      /RECOVERY_HALTED: sink "out", stage "Count", slot \d: its ledger says epoch \d+, above the newest checkpoint 0/
  })
  t.match(cairn('plan', file), { code: 0, stdout: /stage Count[^]*sink out \(exactly-once\)/ })
  t.end()
})

void t.test('a malformed line and a throwing handler name the place, with the stack of the handler', t => {
  writeFileSync(join(folder, 'bad.ndjson'), '{"key":"a"}\n{"key":\n')
  const line = cairn(
    'run',
    jobFile('bad.ts', counting('bad.ndjson').replaceAll("'out'", "'bad-out'")),
    '--storage',
    'bad'
  )
  t.match(line, { code: 1, stderr: /DECODE_FAILED: source "events", partition ".*bad.ndjson", position 12/ })
  writeFileSync(join(folder, 'boom.ndjson'), '{"key":"a","boom":true}\n')
  const handler = cairn(
    'run',
    jobFile('boom.ts', counting('boom.ndjson').replaceAll("'out'", "'boom-out'")),
    '--storage',
    'boom'
  )
  t.match(handler, {
    code: 1,
    stderr: /HANDLER_FAILED: stage "Count", key a, event events\/0\/0: boom in the handler[^]*boom\.ts:6/
  })
  t.end()
})

void t.test('a checkpoint file that was cut is named, and nothing is published again', t => {
  writeFileSync(join(folder, 'cut.ndjson'), '{"key":"a"}\n')
  const file = jobFile('cut.ts', counting('cut.ndjson').replaceAll("'out'", "'cut-out'"))
  t.match(cairn('run', file, '--storage', 'cut'), { code: 0 })
  const manifests = join(folder, 'cut/count/lineages/1/manifests')
  for (const name of readdirSync(manifests)) truncateSync(join(manifests, name), 20)
  t.match(cairn('run', file, '--storage', 'cut'), {
    code: 1,
    stderr: /CORRUPT: manifest ".*": its SHA-256 is not the decided one/
  })
  t.end()
})
