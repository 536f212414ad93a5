/** The model against the runtime in one process, with crashes at random points and little memory. */
import t from 'tap'
import { rowText, type Row } from '../../../simulations/workload/program.ts'
import { makeWorkload } from '../../../simulations/workload/index.ts'
import { runWorkload } from '../../support/workload-run.ts'

// On a busy machine this is slow, not wrong.
t.setTimeout(600_000)

const sleep = (): Promise<void> => Promise.resolve()

void t.test('a workload is a pure function of its seed', async t => {
  for (let seed = 0; seed < 10; seed++) {
    const [a, b] = [makeWorkload(seed, { sleep }), makeWorkload(seed, { sleep })]
    t.same(a.shape, b.shape)
    t.same(a.inputs, b.inputs)
    t.equal(a.description, b.description)
  }
})

void t.test('the model and the runtime agree on what every sink gets', { timeout: 600_000 }, async t => {
  for (let seed = 0; seed < 12; seed++) {
    const { workload, evidence, failure } = await runWorkload(seed, { records: 300 })
    t.equal(failure, undefined, workload.description)
    const model = workload.model().finish()
    for (const { name, delivery } of workload.shape.sinks) {
      if (delivery !== 'exactly-once') continue
      const got = evidence.publications
        .filter(({ slot }) => slot.sink === name)
        .flatMap(({ records }) => records)
        .map(({ value }) => rowText(JSON.parse(new TextDecoder().decode(value)) as Row))
      const expected = (model.rows.get(name) ?? []).map(rowText)
      t.strictSame(got.sort(), expected.sort(), `seed ${seed}, sink ${name}`)
    }
  }
})
