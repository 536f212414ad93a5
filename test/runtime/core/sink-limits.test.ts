/** What a sink would refuse is refused where it is emitted. */
import t from 'tap'
import { generator, job, json, kafka } from '../../../actors/index.ts'
import { buildStageGraph } from '../../../runtime/core/stage-graph.ts'
import { TaskOutputs } from '../../../runtime/core/task-outputs.ts'
import type { SinkTarget } from '../../../runtime/ports/publisher.ts'

const now = Date.UTC(2026, 10, 22)

for (const delivery of ['exactly-once', 'at-least-once'] as const) {
  const emit = (target: Partial<SinkTarget>, time: number, key?: (value: string) => string): void => {
    const { plan } = job('j', j => ({
      out: j
        .source(
          'in',
          generator({ count: 1 }, () => 'x')
        )
        .to('out', kafka({ topic: 't', value: json<string>(), ...(key === undefined ? {} : { key }) }), { delivery })
    }))
    const [stage] = buildStageGraph(plan).stages
    if (stage === undefined) throw new Error('a job without a stage')
    const outputs = new TaskOutputs({
      stage,
      keyGroups: 8,
      owners: [0],
      channels: new Map(),
      limits: new Map([['out', { partitions: 1, maxRecordBytes: 1000, ...target }]]),
      now: () => now,
      onTap: undefined
    })
    outputs.push('main')?.('value', time, 'in/0/', 0, '')
  }

  void t.test(`a record without a key for a compacted topic, ${delivery}`, t => {
    const refused = { code: 'RECORD_REFUSED', message: /sink "out" cannot take a record without a key/ }
    t.throws(() => emit({ needsKey: true }, now), refused)
    t.doesNotThrow(() => emit({ needsKey: true }, now, value => value))
    t.doesNotThrow(() => emit({}, now))
    t.end()
  })

  void t.test(`a key that is no text, ${delivery}`, t => {
    const number = (() => 5) as unknown as () => string
    t.throws(() => emit({}, now, number), {
      code: 'RECORD_REFUSED',
      message: /sink "out" cannot take a record whose key is of type number; it must be a string/
    })
    t.end()
  })

  void t.test(`a time too far from now, ${delivery}`, t => {
    const limits = { mostAheadMs: 60_000, mostBehindMs: 3_600_000 }
    t.throws(() => emit(limits, now + 60_001), {
      code: 'RECORD_REFUSED',
      message: /a record of 2026-11-22T00:01:00.001Z; its topic takes none more than 60000 ms ahead of the clock/
    })
    t.throws(() => emit(limits, now - 3_600_001), { code: 'RECORD_REFUSED', message: /behind the clock/ })
    t.throws(() => emit(limits, -Infinity), { code: 'RECORD_REFUSED', message: /a record of 1970-01-01/ })
    for (const time of [now + 60_000, now, now - 3_600_000]) t.doesNotThrow(() => emit(limits, time))
    t.doesNotThrow(() => emit({ mostAheadMs: 60_000 }, -Infinity))
    t.end()
  })
}
