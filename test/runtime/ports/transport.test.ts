/** Every transport against the rules of the port. */
import t from 'tap'
import { testTransport } from './transport-conformance.ts'
import { simulatedTransport } from './world-subjects.ts'

for (const seed of ['1', '2', '3'])
  void t.test(`simulated, seed ${seed}`, t => testTransport(t, async () => simulatedTransport(undefined, seed)))
