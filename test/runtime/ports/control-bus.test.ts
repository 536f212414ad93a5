/** Every control bus against the rules of the port. */
import t from 'tap'
import { testControlBus } from './control-bus-conformance.ts'
import { simulatedControlBus } from './world-subjects.ts'

for (const seed of ['1', '2', '3'])
  void t.test(`simulated, seed ${seed}`, t => testControlBus(t, async () => simulatedControlBus(undefined, seed)))
