/** A log on a disk of its own that is full: the job names it, begins anew when space returns, and nothing is lost or doubled. */
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { CairnFolder } from './cairn-cli.ts'
import { SmallDisk } from './small-disk.ts'

t.setTimeout(600_000)

const jobText = `
import { Actor, job, json, generator, topic } from 'cairn'
class Count extends Actor {
  count = 0
  receive(event, ctx) {
    if (++this.count % 500 === 0) ctx.emit({ key: ctx.key, count: this.count, padding: 'x'.repeat(500) })
  }
}
export default job('counting', j => {
  const source = j.source('numbers', generator({ count: 1e9 }, n => n))
  return { out: source.keyBy(n => n % 50).actor(Count).to('out', topic('out', { value: json() })) }
}, { interval: '50ms' })`

/** How many of each key there are; fails when one is lost, doubled or out of order. */
async function counts(log: EmbeddedLog): Promise<Map<number, number>> {
  const reader = log.reader('out')
  const last = new Map<number, number>()
  for (let position = 0; ;) {
    const got = await reader.fetch(0, position, 1 << 20, 0)
    if (got.kind !== 'records') return last
    for (let i = 0; i < got.batch.count; i++) {
      const { key, count } = JSON.parse(new TextDecoder().decode(got.batch.value(i))) as { key: number; count: number }
      if (count !== (last.get(key) ?? 0) + 500) throw new Error(`key ${key}: ${count} after ${last.get(key)}`)
      last.set(key, count)
    }
    position = got.next
  }
}

void t.test('a full disk under the log is named; the job begins anew until there is room, and goes on', async t => {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  const mountPoint = join(folder.path, '.cairn/counting/log')
  mkdirSync(mountPoint, { recursive: true })
  const disk = await SmallDisk.mount(mountPoint, 24 * 1024)
  if (disk === undefined) return void t.pass('NOT TESTED: this machine lets nobody mount a file system', { skip: true })
  t.teardown(() => disk.end())
  folder.prefix = disk.prefix
  folder.file('counting.ts', jobText)

  const command = ['run', join(folder.path, 'counting.ts'), '--storage', join(folder.path, '.cairn')]
  const running = folder.start(...command)
  await running.until(/out [1-9]/)
  disk.fill()
  const text = await running.until(/STORAGE_FAILED: the log in .*No space left.*beginning anew/)
  disk.free()
  await running.until(new RegExp(`^[^]{${text.length}}[^]*counting: [^\\n]*out [1-9]`))
  running.child.kill('SIGINT')
  t.match(await running.ended, { code: 0, stderr: /drained/ })

  disk.readOnly(true)
  t.match(folder.cairn(...command), { code: 1, stderr: /STORAGE_FAILED: the log in .*Read-only/ })
  disk.readOnly(false)

  cpSync(disk.path('.'), join(folder.path, 'copy'), { recursive: true })
  const log = await EmbeddedLog.open(join(folder.path, 'copy'), nodeClock)
  t.equal((await counts(log)).size, 50)
  await log.close()
})
