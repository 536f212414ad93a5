/**
 * Every file of the log, cut off and with flipped bits: it is detected and named, or nothing of what is read has changed. Never a
 * wrong answer.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import { isCodedError } from '../../../runtime/kernel/errors.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'

const record = (partition: number, text: string) => ({
  partition,
  timestamp: text.length,
  key: new TextEncoder().encode(`k${text.length % 7}`),
  value: new TextEncoder().encode(text)
})
const slot = { job: 'j', lineage: 1, sink: 's', stage: 't', slot: 0 }
const entry = (epoch: number) => ({ epoch, chunk: 0, last: true, generation: 1, manifestHash: 'm', owner: 'o' })

/** Tables, a log file with several writes, a transaction that was aborted. Every opening turns LevelDB's log into a table. */
async function build(folder: string): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const log = await EmbeddedLog.open(folder, nodeClock)
    await log.createTopic('a', 2)
    const aborted = await log.producer('aborted')
    aborted.begin()
    aborted.append('a', round % 2, [record(round % 2, 'never')])
    await aborted.abort()
    const publisher = await log.publisher('out', { partitions: 1 }).initialise(slot)
    for (let i = 0; i < 6; i++) {
      const texts = Array.from({ length: 40 }, (_, j) => `${round} ${i} ${j} ${'xyz'.repeat(j % 5)}`)
      await log.append(
        'a',
        i % 2,
        texts.map(text => record(i % 2, text))
      )
      await publisher.publish([record(0, `out ${round} ${i}`)], entry(round * 6 + i))
    }
    await log.commitOffset('g', 'a', 0, round)
    await log.close()
  }
}

/** Everything that can be read, as text. */
async function everything(folder: string): Promise<string> {
  const log = await EmbeddedLog.open(folder, nodeClock)
  try {
    const all: unknown[] = [log.topics(), log.ledger('j.1.s.t.0'), log.committedOffset('g', 'a', 0)]
    for (const { name, partitions } of log.topics()) {
      const reader = log.reader(name)
      for (let partition = 0; partition < partitions; partition++)
        for (let position = 0; ;) {
          const got = await reader.fetch(partition, position, 1 << 20, 0)
          if (got.kind !== 'records') {
            all.push(got)
            break
          }
          const { batch } = got
          for (let i = 0; i < batch.count; i++)
            all.push([batch.offset(i), batch.timestamp(i), String(batch.key(i)), String(batch.value(i))])
          position = got.next
        }
    }
    return JSON.stringify(all)
  } finally {
    await log.close()
  }
}

interface Damage {
  readonly what: string
  readonly to: (path: string) => void
}

/** A slow machine that does other things too needs several times the usual ten seconds. */
t.setTimeout(600_000)

function damages(size: number, matters: boolean, random: Prng): Damage[] {
  const cut = (length: number): Damage => ({ what: `cut to ${length}`, to: path => truncateSync(path, length) })
  const flip = (at: number, bit: number): Damage => ({
    what: `bit ${bit} of byte ${at} flipped`,
    to: path => {
      const bytes = readFileSync(path)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
      writeFileSync(path, bytes)
    }
  })
  const list = [{ what: 'removed', to: (path: string) => rmSync(path) }]
  if (size === 0) return list
  if (size <= 64) for (let i = 0; i < size; i++) list.push(cut(i), flip(i, random.int(8)))
  list.push(cut(0), cut(size - 1), flip(0, 0), flip(size - 1, 7))
  if (!matters) return list
  for (let i = 0; i < 16; i++) list.push(cut(random.int(size)), flip(random.int(size), random.int(8)))
  return list
}

void t.test(
  'any one file that is cut off, changed or gone is noticed, or nothing has changed',
  { timeout: 600_000 },
  async t => {
    const root = mkdtempSync(join(tmpdir(), 'cairn-log-damage-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const [good, bad] = [join(root, 'good'), join(root, 'bad')]
    await build(good)
    cpSync(good, join(root, 'read'), { recursive: true })
    const truth = await everything(join(root, 'read'))
    cpSync(good, join(root, 'more'), { recursive: true })
    const more = await EmbeddedLog.open(join(root, 'more'), nodeClock)
    await more.commitOffset('g', 'a', 0, 7)
    await more.close()
    t.not(await everything(join(root, 'more')), truth, 'the comparison sees the smallest change')

    const seed = process.env['CAIRN_SEED'] ?? '11'
    t.comment(`seed ${seed}`)
    const random = new Prng(seed)
    const detected = new Map<string, number>()
    const files = readdirSync(good, { recursive: true, encoding: 'utf8' }).filter(name =>
      statSync(join(good, name)).isFile()
    )
    t.ok(files.some(name => name.endsWith('.log')) && files.some(name => name.endsWith('.ldb')), files.join(' '))
    for (const name of files)
      for (const { what, to } of damages(statSync(join(good, name)).size, !/LOCK|LOG/.test(name), random)) {
        rmSync(bad, { recursive: true, force: true })
        cpSync(good, bad, { recursive: true })
        to(join(bad, name))
        try {
          if ((await everything(bad)) !== truth) t.fail(`${name}, ${what}: a wrong answer`)
        } catch (error) {
          detected.set(name, (detected.get(name) ?? 0) + 1)
          if (
            !isCodedError(error) ||
            error.code !== 'CORRUPT' ||
            !/log in|topic "|log "|high-water|level\//.test(error.message)
          )
            t.fail(`${name}, ${what}: ${String(error)}`)
        }
      }
    for (const name of files.filter(each => /high-water|CURRENT|MANIFEST|\.log$|\.ldb$/.test(each)))
      t.ok((detected.get(name) ?? 0) > 0, `${name}: ${detected.get(name)} detected`)
  }
)

void t.test('a tail that LevelDB has lost is noticed by the high-water mark, and only by it', async t => {
  const root = mkdtempSync(join(tmpdir(), 'cairn-log-tail-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const [older, newer] = [join(root, 'older'), join(root, 'newer')]
  await build(older)
  cpSync(older, newer, { recursive: true })
  const log = await EmbeddedLog.open(newer, nodeClock)
  await log.append('a', 0, [record(0, 'acknowledged')])
  await log.close()
  const older2 = join(root, 'older2')
  cpSync(older, older2, { recursive: true })
  writeFileSync(join(older, 'high-water'), readFileSync(join(newer, 'high-water')))
  await t.rejects(EmbeddedLog.open(older, nodeClock), { code: 'CORRUPT', message: /its tail is lost/ })
  t.match(await everything(older2), /out/, 'the comparison: with its own mark it opens')
})
