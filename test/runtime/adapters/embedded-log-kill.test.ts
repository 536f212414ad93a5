/** The embedded log between processes: a second one is refused; one that is killed leaves every transaction whole or not there. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'

const script = fileURLToPath(new URL('./embedded-log-child.js', import.meta.url))

t.setTimeout(600_000)

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-log-kill-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'log')
}

/** Calls back for every line; resolves when the child is gone. `largestFile`: files can grow to so many KiB. */
function run(
  folder: string,
  what: string,
  onLine: (line: string, child: ChildProcess) => void,
  largestFile?: number
): Promise<void> {
  const command = [process.execPath, script, folder, what]
  // The signal that a file grows too large is ignored, so that writing fails as on a full disk.
  const limited = ['bash', '-c', `trap '' XFSZ; ulimit -f ${largestFile}; exec "$@"`, 'bash', ...command]
  const [program = '', ...args] = largestFile === undefined ? command : limited
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout }).on('line', line => onLine(line, child))
  return new Promise(resolve => child.on('close', () => resolve()))
}

async function valuesOf(log: EmbeddedLog, topic: string): Promise<string[][]> {
  const reader = log.reader(topic)
  const partitions: string[][] = []
  for (const [partition] of (await reader.partitions()).entries()) {
    const values: string[] = []
    for (let position = 0; ;) {
      const got = await reader.fetch(partition, position, 1 << 16, 0)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) values.push(new TextDecoder().decode(got.batch.value(i)))
      position = got.next
    }
    partitions.push(values)
  }
  return partitions
}

void t.test('a second process is refused, and let in when the first is gone', async t => {
  const folder = folderOf(t)
  const log = await EmbeddedLog.open(folder, nodeClock)
  const lines: string[] = []
  await run(folder, 'publish', line => lines.push(line))
  t.same(lines, ['LOCKED'])
  await log.close()
  await run(folder, 'publish', (line, child) => {
    lines.push(line)
    child.kill('SIGKILL')
  })
  t.match(lines[1], /^published/)
  const again = await EmbeddedLog.open(folder, nodeClock)
  await again.close()
})

void t.test('what a dead process left open is aborted, and what stood behind it is seen', async t => {
  const folder = folderOf(t)
  await run(folder, 'leave-open', (line, child) => {
    t.equal(line, 'open')
    child.kill('SIGKILL')
  })
  const log = await EmbeddedLog.open(folder, nodeClock)
  t.same(await valuesOf(log, 'out'), [['behind it'], []])
  await log.close()
})

/** Per slot: at least what was acknowledged is in the ledger, and exactly what is in the ledger is seen, in order. */
async function checkPublished(t: Test, log: EmbeddedLog, acknowledged: ReadonlyMap<number, number>): Promise<void> {
  const seen = await valuesOf(log, 'out')
  for (const slot of [0, 1, 2]) {
    const published = log.ledger(`j.1.s.t.${slot}`)?.epoch ?? 0
    t.ok(published >= (acknowledged.get(slot) ?? 0))
    const expected: string[][] = [[], []]
    for (let epoch = 1; epoch <= published; epoch++)
      for (let i = 0; i < 1 + (epoch % 40); i++) expected[i % 2]?.push(`${slot} ${epoch} ${i}`)
    t.same(
      seen.map(list => list.filter(text => text.startsWith(`${slot} `))),
      expected,
      `slot ${slot}, ${published} epochs`
    )
  }
}

void t.test('a disk that is full is said to be, nothing is damaged, and it goes on when there is room', async t => {
  const folder = folderOf(t)
  const acknowledged = new Map<number, number>()
  for (const largestFile of [40, 41, 64]) {
    let failure = ''
    const onLine = (line: string): void => {
      const [what, slot, epoch] = line.split(' ')
      if (what === 'published') acknowledged.set(Number(slot), Number(epoch))
      else failure = line
    }
    await run(folder, 'publish', onLine, largestFile)
    t.equal(failure, 'STORAGE_FAILED')
    const log = await EmbeddedLog.open(folder, nodeClock)
    await checkPublished(t, log, acknowledged)
    await log.close()
  }
  t.ok(Math.min(...acknowledged.values()) > 3, JSON.stringify([...acknowledged]))
})

void t.test(
  'killed while it publishes: every publication that was acknowledged is there, every other wholly or not at all',
  async t => {
    const folder = folderOf(t)
    const seed = process.env['CAIRN_SEED'] ?? '7'
    t.comment(`seed ${seed}`)
    const random = new Prng(seed)
    const acknowledged = new Map<number, number>()
    for (let round = 0; round < 12; round++) {
      let left = 1 + random.int(60)
      await run(folder, 'publish', (line, child) => {
        const [what, slot, epoch] = line.split(' ')
        if (what !== 'published') t.fail(line)
        acknowledged.set(Number(slot), Number(epoch))
        if (--left === 0) child.kill('SIGKILL')
      })
      const log = await EmbeddedLog.open(folder, nodeClock)
      await checkPublished(t, log, acknowledged)
      await log.close()
    }
  }
)
