/** What people and files do wrong, one by one: named, with the right exit code, and nothing lost. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { decodeManifest, encodeManifest, manifestFormat } from '../../checkpoint/manifest.ts'
import { CairnFolder } from './cairn-cli.ts'

// Each line starts a process or more.
t.setTimeout(600_000)
const folder = new CairnFolder()
t.teardown(() => folder.remove())

const counting = (name: string, input: string, options = ''): string =>
  folder.file(
    `${name}.ts`,
    `
import { Actor, job, json, lines, files } from 'cairn'
interface Event { key: string; where?: string; fields?: object }
const stop = (event: Event, where: string): void => {
  if (event.where === where) throw new RangeError('it broke in ' + where)
}
class Count extends Actor {
  count = 0
  fields: object = {}
  async receive(event: Event, ctx) {
    this.count++
    this.fields = event.fields ?? {}
    await Promise.resolve()
    stop(event, 'receive')
    ctx.emit({ key: ctx.key, count: this.count, fields: this.fields })
  }
}
export default job('${name}', j => {
  const source = j.source('events', lines('${input}', json<Event>()), { ${options} })
  return {
    out: source
      .map(event => (stop(event, 'map'), event))
      .keyBy(event => (stop(event, 'keyBy'), event.key))
      .actor(Count)
      .to('out', files('out-${name}', json()))
  }
})`
  )
const ndjson = (name: string, ...lines: string[]): void =>
  void folder.file(name, lines.map(line => `${line}\n`).join(''))
const output = (name: string): unknown[] =>
  readdirSync(join(folder.path, `out-${name}`))
    .filter(file => file.endsWith('.ndjson'))
    .flatMap(file => folder.text(`out-${name}/${file}`).split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as unknown)

void t.test('flags of the wrong type, unknown flags and surplus arguments are usage errors that name them', t => {
  const file = counting('flags', 'events.ndjson')
  const refused = (args: string[], stderr: RegExp): unknown => t.match(folder.cairn(...args), { code: 2, stderr })
  refused(['run', file, '--parallelism', 'many'], /USAGE: --parallelism "many": it must be a whole number from 1/)
  refused(['run', file, '--interval', '5 minutes'], /USAGE: --interval "5 minutes": it must be a duration like 100ms/)
  for (const command of ['run', 'dev'])
    refused(
      [command, file, '--interval', '1s', '--latency', '1s'],
      /USAGE: --interval and --latency both say how often/
    )
  refused(['run', file, 'more'], /too many arguments/)
  refused(['run'], /missing required argument 'job'/)
  refused(['checkpoint', 'lst', 'flags'], /unknown command 'lst'[^]*list/)
  refused(['dead-letters', 'list', 'flags', '--limit', '0'], /whole number from 1 to 10000/)
  t.end()
})

void t.test('input that is a folder is named', t => {
  mkdirSync(join(folder.path, 'folder'))
  t.match(folder.cairn('run', counting('directory', 'folder')), {
    code: 1,
    stderr: /INPUT_MISSING: input ".*folder" cannot be read: not a file/
  })
  t.end()
})

void t.test('whatever function of the job throws, the place, the event and the line of the file are shown', t => {
  for (const [where, place] of [
    ['receive', 'stage "Count", key k, event events/0/12'],
    ['map', 'source "events", partition ".*thrown.ndjson", position 12'],
    ['keyBy', 'source "events", partition ".*thrown.ndjson", position 12']
  ] as const) {
    ndjson('thrown.ndjson', '{"key":"k"}', `{"key":"k","where":"${where}"}`)
    t.match(folder.cairn('run', counting('thrown', 'thrown.ndjson'), '--storage', where), {
      code: 1,
      stderr: new RegExp(`HANDLER_FAILED: ${place}: it broke in ${where}[^]*RangeError[^]*stop \\(.*/thrown\\.ts:5:`)
    })
  }
  t.end()
})

void t.test('a malformed line in the middle is put aside where the source says so, and all others count', t => {
  ndjson('middle.ndjson', '{"key":"a"}', '{"key":', '\u0000\u0001', '"no object"', '{"key":"a"}')
  t.match(folder.cairn('run', counting('strict', 'middle.ndjson')), {
    code: 1,
    stderr: /DECODE_FAILED: source "events", partition ".*middle.ndjson", position 12: /
  })
  const file = counting('lenient', 'lenient.ndjson', "onError: 'dead-letter'")
  ndjson('lenient.ndjson', '{"key":"a"}', '{"key":', '\u0000\u0001', '{"key":"a"}')
  t.match(folder.cairn('run', file), { code: 0 })
  t.match(output('lenient'), [{ count: 1 }, { count: 2 }])
  t.match(folder.cairn('dead-letters', 'list', file).stdout, /events\/0\/12 [^]*events\/0\/20 /)
  t.end()
})

void t.test(
  'strange keys and fields stay what they are, through a restart too; a key of 1 MB is refused by place',
  t => {
    const keys = [
      '',
      'a/b',
      '../..',
      'a\u0000b\r\n',
      '\u001b[2J',
      '\ud800',
      '\udc00x',
      '__proto__',
      'constructor',
      '\ufeff',
      'x'.repeat(60_000)
    ]
    const events = keys.map(key => `{"key":${JSON.stringify(key)},"fields":{"__proto__":{"polluted":1},"toString":2}}`)
    ndjson('strange.ndjson', ...events, ...events)
    const file = counting('strange', 'strange.ndjson')
    t.match(folder.cairn('run', file, '--parallelism', '3'), { code: 0 })
    const rows = output('strange') as { key: string; count: number; fields: Record<string, unknown> }[]
    for (const key of keys) {
      const own = rows.filter(row => row.key === key)
      t.same(
        own.map(row => row.count),
        [1, 2],
        JSON.stringify(key.slice(0, 20))
      )
      t.same(Object.keys(own[0]?.fields ?? {}), ['__proto__', 'toString'])
    }
    t.equal(rows.length, 2 * keys.length)
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
    const state = folder.cairn('state', 'get', 'strange', 'Count', '"\\ud800"', '--key-json', '--output', 'json')
    t.match(state, { code: 0, stdout: /"count": 2,[^]*"__proto__": \{\n +"polluted": 1/ })
    t.match(folder.cairn('state', 'get', 'strange', 'Count', ''), { code: 0, stdout: /count +2/ })

    ndjson('large.ndjson', '{"key":"a"}', JSON.stringify({ key: 'x'.repeat(1024 * 1024) }))
    t.match(folder.cairn('run', counting('large', 'large.ndjson')), {
      code: 1,
      stderr: /KEY_INVALID: source "events", .*position 12: a key of 1048576 bytes; the limit is 65536/
    })
    t.end()
  }
)

void t.test('the checkpoints of another job, and those of a newer format, are refused and left alone', async t => {
  ndjson('few.ndjson', '{"key":"a"}')
  const file = counting('mine', 'few.ndjson')
  t.match(folder.cairn('run', file), { code: 0 })
  cpSync(join(folder.path, '.cairn/mine'), join(folder.path, '.cairn/theirs'), {
    recursive: true,
    filter: path => !path.endsWith('.sock')
  })
  t.match(folder.cairn('run', counting('theirs', 'few.ndjson')), {
    code: 1,
    stderr: /FOREIGN_CHECKPOINT: the checkpoint is of job "mine", not "theirs"/
  })

  const storage = new DirectoryStorage(nodeFiles, join(folder.path, '.cairn/mine/lineages/1'))
  const log = await DecisionLog.open(storage, () => 'test')
  const { head } = log
  if (head === undefined) throw new Error('there is no checkpoint')
  const known = decodeManifest((await storage.read(head.manifest.name)) ?? new Uint8Array(), head.manifest.hash, 'it')
  const epoch = known.epoch + 1
  const { bytes, hash } = encodeManifest({ ...known, epoch, format: manifestFormat + 1 })
  const name = `manifests/${String(epoch).padStart(12, '0')}-newer`
  await storage.create(name, bytes)
  await log.append({ ...head, epoch, manifest: { name, hash } })
  for (const args of [
    ['run', file],
    ['state', 'get', 'mine', 'Count', 'a'],
    ['checkpoint', 'verify', 'mine']
  ])
    t.match(folder.cairn(...args), {
      code: 1,
      stderr: /FORMAT_NEWER: manifest ".*newer" is of format \d+; this Cairn reads/
    })
})

void t.test('a job file beside which nothing can be written, and one that is a folder, are named', t => {
  mkdirSync(join(folder.path, 'job.ts'))
  t.match(folder.cairn('run', 'job.ts'), { code: 1, stderr: /JOB_FILE_INVALID: job file "job.ts"/ })
  renameSync(join(folder.path, 'job.ts'), join(folder.path, 'other'))
  writeFileSync(join(folder.path, 'json.ts'), '{"not": "a module"}')
  t.match(folder.cairn('plan', 'json.ts'), { code: 1, stderr: /JOB_FILE_INVALID: job file "json.ts"/ })
  t.equal(readFileSync(join(folder.path, 'json.ts'), 'utf8'), '{"not": "a module"}')
  t.end()
})
