/** What the engine allocates for each event of a query does not grow unnoticed: more garbage is less speed, and no other test would see it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { writeEvents } from '../../bench/nexmark/generator.ts'
import type { Profiled, ProfileSpec } from '../../bench/nexmark/profile.ts'

const events = 60_000
/**
 * Bytes per event: what was measured (`npm run bench:nexmark -- --profile --events 60000`), and a tenth more. Where less is allocated now, take that instead.
 */
const limits: Readonly<Record<number, number>> = { 0: 1010, 2: 470, 5: 1730, 11: 940, 15: 1690, 17: 1540 }

const script = fileURLToPath(new URL('../../bench/nexmark/profile.js', import.meta.url))

for (const [query, limit] of Object.entries(limits))
  void t.test(`query ${query} allocates at most ${limit} bytes per event`, t => {
    const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'events')
    writeEvents(path, events)
    const spec: ProfileSpec = { query: Number(query), path, events, of: 'memory' }
    const child = spawnSync(process.execPath, [script, JSON.stringify(spec)], { encoding: 'utf8' })
    t.equal(child.status, 0, child.stderr)
    const { perEvent, stages } = JSON.parse(child.stdout) as Profiled
    t.ok(perEvent <= limit, `${perEvent.toFixed(0)} bytes`, { stages })
    // Or it has measured nothing.
    t.ok(perEvent > limit / 2, `${perEvent.toFixed(0)} bytes`, { stages })
    t.end()
  })
