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

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-log-kill-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'log')
}

/** Calls back for every line; resolves when the child is gone. */
function run(folder: string, what: string, onLine: (line: string, child: ChildProcess) => void): Promise<void> {
  const child = spawn(process.execPath, [script, folder, what], { stdio: ['ignore', 'pipe', 'inherit'] })
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
      await log.close()
    }
  }
)
