/** Settings: flag over environment over file over fallback, and everything that is wrong told at once. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { resolveSettings } from '../../../deploy/settings/resolve-settings.ts'
import { flagOf, variableOf, type Settings, type Values } from '../../../deploy/settings/setting.ts'
import {
  allSettings,
  connectionSettings,
  letterSettings,
  runAloneSettings,
  runSettings,
  workerProblems,
  workerSettings
} from '../../../deploy/settings/tables.ts'
import { CodedError } from '../../../runtime/kernel/errors.ts'
import { CairnFolder, root } from '../cairn-cli.ts'

interface From {
  readonly flags?: Readonly<Record<string, unknown>>
  readonly environment?: Readonly<Record<string, string>>
  readonly file?: unknown
}

function resolve<Table extends Settings>(table: Table, { flags = {}, environment = {}, file }: From): Values<Table> {
  const text = typeof file === 'string' ? file : JSON.stringify(file)
  return resolveSettings(
    table,
    { flags, environment, file: file === undefined ? undefined : { path: 'a.json', text }, all: allSettings },
    table === (workerSettings as Settings) ? workerProblems : undefined
  )
}

/** The sentences of its message. */
function problems(table: Settings, from: From): string[] {
  try {
    resolve(table, from)
    return []
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'USAGE') throw error
    return error.message.includes('\n  - ') ? error.message.split('\n  - ').slice(1) : [error.message]
  }
}

void t.test('a flag beats the environment, the environment the file, the file the fallback', async t => {
  const file = { lostAfter: '1s', tasks: 1, name: 'of-file', nats: ['nats://f:1', 'nats://f:2'] }
  const environment = { CAIRN_LOST_AFTER: '2s', CAIRN_TASKS: '2', CAIRN_NATS: 'nats://e:1, nats://e:2' }
  const flags = { lostAfter: '3s', nats: ['nats://a:1', 'nats://b:1,nats://c:1'] }
  t.match(resolve(workerSettings, {}), {
    storage: '.cairn',
    nats: ['nats://127.0.0.1:4222'],
    name: hostname(),
    listen: { host: '127.0.0.1', port: 0 },
    lostAfter: 5000
  })
  t.notOk('tasks' in resolve(workerSettings, {}), 'what has no fallback is not there')
  t.match(resolve(workerSettings, { file }), {
    lostAfter: 1000,
    tasks: 1,
    name: 'of-file',
    nats: ['nats://f:1', 'nats://f:2']
  })
  t.match(resolve(workerSettings, { file, environment }), {
    lostAfter: 2000,
    tasks: 2,
    name: 'of-file',
    nats: ['nats://e:1', 'nats://e:2']
  })
  t.match(resolve(workerSettings, { file, environment, flags }), {
    lostAfter: 3000,
    tasks: 2,
    nats: ['nats://a:1', 'nats://b:1', 'nats://c:1']
  })
  t.match(
    resolve(workerSettings, { file, environment: { CAIRN_TASKS: '' } }),
    { tasks: 1 },
    'an empty variable is none'
  )
  t.match(resolve(runSettings, { file: { check: true, tasks: 'of no concern here' } }), { check: true })
  t.match(resolve(runSettings, { file: { check: true }, environment: { CAIRN_CHECK: 'false' } }), { check: false })
})

void t.test('all that is wrong is told at once, by name, value and place', async t => {
  const environment = {
    CAIRN_TASK: '2',
    CAIRN_CACHE: 'lots',
    CAIRN_LATENCY: '0ms',
    CAIRN_SERVICE_HOST: '10.0.0.1',
    CAIRN_REQUIRE_SERVICES: '1'
  }
  const file = { tasks: 'two', lostAfter: 5, intervall: '1s', nats: [], fresh: true, store: 'disk', metrics: 9464 }
  const flags = { listen: 'nowhere', tlsCa: 'none.pem', natsToken: 'a', natsUser: 'b', interval: '1s' }
  t.same(problems(workerSettings, { environment, file, flags }).sort(), [
    '"fresh" in a.json true: it is for one start; give it as --fresh',
    '"intervall" in a.json "1s": there is no such setting; interval is meant, it seems',
    '"lostAfter" in a.json 5: it must be a duration like 100ms, 5s or 2m',
    '"metrics" in a.json 9464: it is not of the form host:port',
    '"nats" in a.json []: it must name at least one',
    '"store" in a.json "disk": it must be memory or level or rocksdb',
    '"tasks" in a.json "two": it must be a whole number from 1',
    '--interval and --latency both say how often there are checkpoints; leave one of them out',
    '--listen "nowhere": it is not of the form host:port',
    '--tls-ca "none.pem": it cannot be read: ENOENT',
    'CAIRN_CACHE "lots": it must be a size like 64MiB or 2GiB',
    'CAIRN_LATENCY "0ms": it must be a duration like 100ms, 5s or 2m, at least 20ms',
    'CAIRN_TASK "2": there is no such setting; CAIRN_TASKS is meant, it seems',
    'NATS: choose one of --nats-creds, --nats-user, --nats-token',
    'TLS among workers needs all of --tls-ca, --tls-cert and --tls-key'
  ])
  t.same(problems(workerSettings, { file: '{' }).length, 1)
  t.match(problems(workerSettings, { file: '{' })[0], /^--config "a\.json" is no JSON: /)
  t.same(problems(workerSettings, { file: '[1]' }), ['--config "a.json" holds no JSON object'])
  t.same(problems(runSettings, { environment: { CAIRN_FRESH: 'true' } }), [], 'what is for one start is no variable')
  t.same(problems(runSettings, { flags: { parallelism: '0' } }), [
    '--parallelism "0": it must be a whole number from 1'
  ])
})

void t.test('a secret is never shown, and a long value not in full', async t => {
  t.same(problems(workerSettings, { flags: { natsToken: '' } }), ['--nats-token (not shown): it must not be empty'])
  t.match(problems(workerSettings, { file: { tasks: 'x'.repeat(1000) } })[0], /^"tasks" in a\.json "x{59}…: /)
})

void t.test('no file and no environment makes it fail otherwise than by telling what is wrong', async t => {
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string()),
    fc.object()
  )
  const name = fc.oneof(
    fc.constantFrom(...Object.keys(allSettings), '__proto__', 'constructor', 'toString'),
    fc.string()
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.dictionary(name, value).map(each => JSON.stringify(each)),
        fc.json(),
        fc.string()
      ),
      fc.dictionary(name.map(variableOf), fc.string()),
      (file, environment) => {
        for (const table of [workerSettings, runAloneSettings]) problems(table, { file, environment })
      }
    ),
    { numRuns: 500 }
  )
  t.notOk('polluted' in {})
})

void t.test('flags and variables follow from the name, and no two meet', async t => {
  t.equal(flagOf('natsCreds'), '--nats-creds')
  t.equal(variableOf('natsCreds'), 'CAIRN_NATS_CREDS')
  const variables = Object.keys(allSettings).map(variableOf)
  t.equal(new Set(variables).size, variables.length)
})

/** The row of a setting in docs/configuration.md. */
function rowOf(name: string): string {
  const { about, shown, flagOnly, placeholder } = allSettings[name] as Settings[string]
  const tables = {
    'worker start': workerSettings,
    'worker drain, cluster': connectionSettings,
    run: runAloneSettings,
    dev: runSettings,
    'dead-letters': letterSettings
  }
  const commands = Object.entries(tables).filter(([, table]) => name in table)
  return [
    flagOnly ? '' : `\`${name}\``,
    `\`${flagOf(name)}${placeholder === undefined ? '' : ` ${placeholder}`}\``,
    flagOnly ? '' : `\`${variableOf(name)}\``,
    commands.map(([command]) => command).join(', '),
    shown === undefined ? '' : `\`${shown}\``,
    about
  ].join(' | ')
}

void t.test('docs/configuration.md has every setting, as it is', async t => {
  const rows = readFileSync(join(root, 'docs/configuration.md'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('|') && line.includes('`--'))
    .map(line =>
      line
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim())
        .join(' | ')
    )
  const expected = Object.keys(allSettings).map(rowOf)
  t.same(rows, expected)
})

void t.test('the command line takes settings from a file, and says what is wrong with it', async t => {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  const elsewhere = mkdtempSync(join(tmpdir(), 'cairn-settings-'))
  t.teardown(() => rmSync(elsewhere, { recursive: true, force: true }))
  folder.file(
    'few.mjs',
    `import { Actor, generator, job, json, files } from 'cairn'
class Count extends Actor { receive(n, ctx) { ctx.emit(n) } }
export default job('few', j => ({ out: j.source('n', generator({ count: 5 }, n => n)).keyBy(n => 'k').actor(Count).to('out', files('out', json())) }))`
  )
  writeFileSync(
    join(elsewhere, 'run.json'),
    JSON.stringify({ storage: join(elsewhere, 'kept'), store: 'level', parallelism: 2 })
  )
  const done = folder.cairn('run', 'few.mjs', '--config', join(elsewhere, 'run.json'))
  t.equal(done.code, 0, done.stderr)
  folder.env = { CAIRN_CONFIG: join(elsewhere, 'run.json'), CAIRN_PARALLELISM: 'none', CAIRN_CACHE: '1' }
  const wrong = folder.cairn('run', 'few.mjs')
  t.match(wrong, {
    code: 2,
    stderr: /USAGE: 2 settings are wrong:\n {2}- CAIRN_CACHE "1".*\n {2}- CAIRN_PARALLELISM "none"/
  })
  folder.env = {}
  t.match(folder.cairn('run', 'few.mjs', '--config', 'none.json'), {
    code: 2,
    stderr: /--config "none.json" cannot be read: ENOENT/
  })
  t.match(folder.cairn('worker', 'start', '--help').stdout, /--config <file>[^]*CAIRN_CONFIG[^]*beats its variable/)
})
