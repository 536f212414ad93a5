/** Flink's SQL for each query answers what a naive implementation answers: without that it is no peer to be measured with. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { queries, queryOf } from '../../bench/nexmark/catalogue.ts'
import { generate, writeEvents } from '../../bench/nexmark/generator.ts'
import { naiveResult } from '../../bench/nexmark/naive.ts'
import { differences } from '../../bench/nexmark/verify.ts'
import { flinkMemory } from '../../bench/peers/idle-keys.ts'
import { flinkResults, hasFlinkQuery, prepareFlink } from '../../bench/peers/flink.ts'
import { needs } from '../support/services.ts'

/** Java needs 20 s of CPU for it. */
t.setTimeout(300_000)

const count = 3_000
const all = Object.keys(queries).map(Number)
const onEventTime = all.filter(query => queryOf(query).result !== 'total')
void t.test('every query is written down in SQL', t => {
  t.same(
    all.filter(query => !hasFlinkQuery(query)),
    []
  )
  t.end()
})

void t.test('Flink answers what a naive implementation answers', needs('flink'), async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-flink-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const flink = prepareFlink(join(folder, 'classes'))
  if (flink === undefined) throw new Error('Flink was here')
  const path = join(folder, 'events')
  const options = { seed: 'a', rate: 40, outOfOrderGroupSize: 100 }
  writeEvents(path, count, options)
  const events = [...generate(count, options)]
  const results = await flinkResults(flink, 'rocksdb', onEventTime, { path, events: count })
  for (const query of onEventTime) {
    const rows = results.get(query) ?? []
    t.ok(rows.length > 0, `query ${query} has results`)
    t.same(differences(queryOf(query), rows, naiveResult(query, events)), [], `query ${query}`)
  }
})

void t.test('what an idle key takes of its heap is told', needs('flink'), t => {
  const { bytesPerKey, collections } = flinkMemory(200_000, 1024) ?? { bytesPerKey: NaN, collections: 0 }
  t.ok(bytesPerKey > 40 && bytesPerKey < 1000, `${bytesPerKey} bytes`)
  t.equal(collections, 1)
  t.end()
})
