/** What a worker does with directives, and how a lease is kept: whatever is late or repeated changes nothing. */
import t from 'tap'
import type { Directive } from '../../../runtime/core/cluster-messages.ts'
import { Elector } from '../../../runtime/core/elector.ts'
import { Follower } from '../../../runtime/core/follower.ts'

let sequence = 0
const directive = (more: Partial<Directive>): Directive => ({
  lineage: 1,
  leader: 'w1#1',
  term: 5,
  sequence: ++sequence,
  phase: 'running',
  generation: 6,
  perWorker: 1,
  addresses: {},
  trigger: null,
  abandoned: 0,
  decided: null,
  ...more
})
const decided = { epoch: 3, hash: 'h', loops: [] }

void t.test('a generation is entered once, and what was asked of it meanwhile is done after that', t => {
  const follower = new Follower()
  t.match(follower.heard(directive({})), [{ kind: 'enter', generation: 6 }])
  follower.heard(directive({ trigger: { epoch: 4, last: false } }))
  t.match(follower.entered(6), [{ kind: 'trigger', epoch: 4 }])
  t.same(follower.entered(5), [])
  t.end()
})

void t.test('older terms and repeated numbers change nothing', t => {
  const follower = new Follower()
  const first = directive({ decided })
  follower.heard(first)
  t.same(follower.heard(first), [])
  t.same(follower.heard(directive({ term: 4, generation: 9 })), [])
  t.match(follower.heard(directive({ term: 7, generation: 8 })), [{ kind: 'enter', generation: 8 }])
  t.same(follower.heard(directive({ term: 5, generation: 9 })), [])
  t.end()
})

void t.test('what was decided comes before what was abandoned, and that before the next barrier', t => {
  const follower = new Follower()
  follower.heard(directive({ generation: 1 }))
  const actions = follower.heard(directive({ generation: 1, decided, abandoned: 4, trigger: { epoch: 5, last: true } }))
  t.same(
    actions.map(({ kind }) => kind),
    ['decided', 'abandon', 'trigger']
  )
  t.same(
    follower
      .heard(directive({ generation: 1, decided, abandoned: 4, trigger: { epoch: 4, last: false } }))
      .map(({ kind }) => kind),
    ['decided', 'abandon'],
    'no barrier of an abandoned epoch'
  )
  t.end()
})

void t.test('a free lease is taken, renewed, and given up when it cannot be renewed in time', t => {
  const elector = new Elector('w1#1', { leaseMs: 5000, renewMs: 1500 })
  t.same(elector.step({ kind: 'tick' }, 0), [{ kind: 'get' }])
  t.same(elector.step({ kind: 'got', entry: undefined }, 1), [{ kind: 'put', revision: undefined }])
  t.same(elector.step({ kind: 'written', outcome: { revision: 1 } }, 2), [{ kind: 'elected' }])
  t.same(elector.step({ kind: 'tick' }, 1500), [{ kind: 'put', revision: 1 }])
  t.same(elector.step({ kind: 'written', outcome: { revision: 2 } }, 1600), [])
  elector.step({ kind: 'tick' }, 3000)
  t.same(elector.step({ kind: 'unknown' }, 5000), [], 'an unknown outcome alone ends nothing')
  t.match(elector.step({ kind: 'tick' }, 6600), [{ kind: 'deposed' }, { kind: 'get' }])
  t.end()
})

void t.test('a lease of its own whose answer was lost is recognised; that of another is left alone', t => {
  const elector = new Elector('w1#1', { leaseMs: 5000, renewMs: 1500 })
  elector.step({ kind: 'tick' }, 0)
  t.same(elector.step({ kind: 'got', entry: { holder: 'w1#1', revision: 7 } }, 1), [{ kind: 'elected' }])
  elector.step({ kind: 'tick' }, 1500)
  t.same(elector.step({ kind: 'written', outcome: 'conflict' }, 1501), [])
  t.same(elector.step({ kind: 'tick' }, 1502), [{ kind: 'get' }])
  t.same(elector.step({ kind: 'got', entry: { holder: 'w2#1', revision: 9 } }, 1503), [{ kind: 'deposed' }])
  t.end()
})

void t.test('the lease of a holder that is believed dead is taken at once; one that lives keeps it', t => {
  const look = (): Elector => {
    const elector = new Elector('w1#1', { leaseMs: 5000, renewMs: 1500 })
    elector.step({ kind: 'tick' }, 0)
    t.same(elector.step({ kind: 'got', entry: { holder: 'w2#1', revision: 7 } }, 1), [])
    t.same(elector.step({ kind: 'suspect', holder: 'w2#1' }, 100), [{ kind: 'get' }])
    return elector
  }
  const dead = look()
  t.same(dead.step({ kind: 'got', entry: { holder: 'w2#1', revision: 7 } }, 101), [{ kind: 'put', revision: 7 }])
  t.same(dead.step({ kind: 'written', outcome: { revision: 8 } }, 102), [{ kind: 'elected' }])

  const alive = look()
  alive.step({ kind: 'got', entry: { holder: 'w2#1', revision: 7 } }, 101)
  alive.step({ kind: 'written', outcome: 'conflict' }, 102)
  t.same(alive.step({ kind: 'tick' }, 103), [{ kind: 'get' }])
  t.same(alive.step({ kind: 'got', entry: { holder: 'w2#1', revision: 8 } }, 104), [], 'it renewed its lease meanwhile')

  const other = look()
  t.same(other.step({ kind: 'got', entry: { holder: 'w3#1', revision: 9 } }, 101), [], 'somebody else was faster')
  t.end()
})

void t.test('who holds the lease and cannot lead gives it away, and lets the others try before it does again', t => {
  const elector = new Elector('w1#1', { leaseMs: 5_000, renewMs: 1_500 })
  t.same(elector.step({ kind: 'yield' }, 0), [], 'nothing is held')
  elector.step({ kind: 'tick' }, 0)
  elector.step({ kind: 'got', entry: undefined }, 10)
  t.same(elector.step({ kind: 'written', outcome: { revision: 7 } }, 20), [{ kind: 'elected' }])
  t.same(elector.step({ kind: 'yield' }, 30), [{ kind: 'remove', revision: 7 }, { kind: 'deposed' }])
  t.equal(elector.leads, false)
  t.same(elector.step({ kind: 'tick' }, 10_029), [], 'the others have two leases to look')
  t.same(elector.step({ kind: 'tick' }, 10_030), [{ kind: 'get' }])
  t.end()
})

void t.test('who cannot lead does not keep a lease of which it does not know whether it is still its own', t => {
  const elector = new Elector('w1#1', { leaseMs: 5_000, renewMs: 1_500 })
  elector.step({ kind: 'tick' }, 0)
  elector.step({ kind: 'got', entry: undefined }, 10)
  t.same(elector.step({ kind: 'written', outcome: { revision: 7 } }, 20), [{ kind: 'elected' }])
  t.same(elector.step({ kind: 'tick' }, 1_500), [{ kind: 'put', revision: 7 }])
  t.same(elector.step({ kind: 'written', outcome: 'conflict' }, 1_510), [], 'it leads on until its time is over')
  t.same(elector.step({ kind: 'yield' }, 1_520), [{ kind: 'deposed' }])
  t.equal(elector.leads, false)
  t.same(elector.step({ kind: 'tick' }, 11_519), [], 'the others try first')
  t.same(elector.step({ kind: 'tick' }, 11_520), [{ kind: 'get' }])
  t.same(elector.step({ kind: 'got', entry: { holder: 'w1#1', revision: 7 } }, 11_530), [{ kind: 'elected' }])
  t.end()
})
