/** A disk that is full or read-only while checkpointing (and at the start): a clear error, no damage, and on it goes when space returns. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CairnFolder } from './cairn-cli.ts'
import { SmallDisk } from './small-disk.ts'

t.setTimeout(600_000)

const jobText = `
import { Actor, job, json, generator, files } from 'cairn'
class Count extends Actor {
  count = 0
  padding = 'x'.repeat(2000)
  receive(event, ctx) {
    if (++this.count % 5000 === 0) ctx.emit({ key: ctx.key, count: this.count })
  }
}
export default job('counting', j => {
  const source = j.source('numbers', generator({ count: 1e9 }, n => n))
  return { out: source.keyBy(n => n % 50).actor(Count).to('out', files('out', json())) }
}, { interval: '50ms' })`

async function smallDisk(t: Test): Promise<{ disk: SmallDisk; folder: CairnFolder } | undefined> {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  const mountPoint = join(folder.path, 'disk')
  mkdirSync(mountPoint)
  const disk = await SmallDisk.mount(mountPoint, 16 * 1024)
  if (disk === undefined) return undefined
  t.teardown(() => disk.end())
  folder.prefix = disk.prefix
  writeFileSync(disk.path('counting.ts'), jobText)
  return { disk, folder }
}

function notTested(t: Test): void {
  t.pass('NOT TESTED: this machine lets nobody mount a file system', { skip: true })
}

/** Every count once and in order, for every key. */
function outputIsWhole(t: Test, disk: SmallDisk): void {
  const last = new Map<number, number>()
  let wrong = 0
  for (const name of readdirSync(disk.path('out')).sort()) {
    if (!name.endsWith('.ndjson')) continue
    for (const line of readFileSync(join(disk.path('out'), name), 'utf8').split('\n')) {
      if (line === '') continue
      const { key, count } = JSON.parse(line) as { key: number; count: number }
      if (count !== (last.get(key) ?? 0) + 5000) wrong++
      last.set(key, count)
    }
  }
  t.equal(wrong, 0, 'no record lost, doubled or out of order')
  t.equal(last.size, 50)
}

const checkpointOf = (text: string): number => Number([...text.matchAll(/checkpoint (\d+)/g)].at(-1)?.[1])

for (const trouble of ['a full disk', 'a read-only disk'] as const)
  void t.test(`${trouble} while checkpointing is named; the job waits, and goes on when it is over`, async t => {
    const made = await smallDisk(t)
    if (made === undefined) return notTested(t)
    const { disk, folder } = made
    const running = folder.start('run', 'counting.ts')
    await running.until(/checkpoint \d+/)
    if (trouble === 'a full disk') disk.fill()
    else disk.readOnly(true)
    // Where it hits: a checkpoint is given up and tried again, an output makes the job begin anew from its last checkpoint.
    const code = trouble === 'a full disk' ? 'ENOSPC' : 'EROFS'
    const hit = `(no checkpoint completes: |STORAGE_FAILED: )[^\\n]*${code}`
    const before = checkpointOf(await running.until(new RegExp(hit)))
    if (trouble === 'a full disk') disk.free()
    else disk.readOnly(false)
    await running.until(new RegExp(`${hit}[^]*counting: (?![^\\n]*completes)[^\\n]*checkpoint (?!${before} )\\d`))
    running.child.kill('SIGINT')
    t.match(await running.ended, { code: 0, stderr: /drained/ })
    t.match(folder.cairn('checkpoint', 'verify', 'counting'), { code: 0, stdout: /problems +0/ })
    outputIsWhole(t, disk)
  })

void t.test('a job killed on a full disk resumes; started on one, it says so and changes nothing', async t => {
  const made = await smallDisk(t)
  if (made === undefined) return notTested(t)
  const { disk, folder } = made
  const running = folder.start('run', 'counting.ts')
  await running.until(/checkpoint \d+/)
  disk.fill()
  await running.until(/(no checkpoint completes|STORAGE_FAILED): .*ENOSPC/)
  folder.prefix = []
  running.child.kill('SIGKILL')
  await running.ended
  folder.prefix = disk.prefix
  // Also what files not needed any more gave back meanwhile.
  disk.fill()
  t.match(folder.cairn('run', 'counting.ts'), { code: 1, stderr: /cairn: [A-Z_]+: .*ENOSPC/ })
  disk.readOnly(true)
  t.match(folder.cairn('checkpoint', 'verify', 'counting'), { code: 0, stdout: /problems +0/ })
  t.match(folder.cairn('state', 'get', 'counting', 'Count', '7', '--output', 'json'), {
    code: 0,
    stdout: /"count": \d+/
  })
  t.match(folder.cairn('run', 'counting.ts'), { code: 1, stderr: /cairn: [A-Z_]+: .*EROFS/ })
  disk.readOnly(false)
  disk.free()
  const again = folder.start('run', 'counting.ts')
  await again.until(/checkpoint \d+/)
  again.child.kill('SIGINT')
  t.match(await again.ended, { code: 0 })
  outputIsWhole(t, disk)
})

void t.test('a storage folder that cannot be made or written to is named', t => {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  folder.file('counting.ts', jobText)
  folder.file('file', 'no folder')
  t.match(folder.cairn('run', 'counting.ts', '--storage', 'file'), {
    code: 1,
    stderr: /STORAGE_FAILED: folder ".*file\/counting" cannot be made: E(NOTDIR|EXIST)/
  })
  t.end()
})
