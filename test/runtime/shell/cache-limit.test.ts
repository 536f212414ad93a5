/** Actors leave memory also while every batch has to wait for the local store, on the real core in virtual time. */
import t from 'tap'
import { Actor, files, job, json, lines } from '../../../actors/index.ts'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import type { Fetched, LogReader } from '../../../runtime/ports/log.ts'
import { beginIncarnation } from '../../../runtime/shell/incarnation.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { MemoryPublisher } from '../../../simulations/memory-publisher.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'
import { planted } from '../../support/planted.ts'

const batch = 20
/** Bytes that make room for some forty actors. */
const cache = 40 * 450

/** Events, each of a key of its own. */
let handled = 0
class Count extends Actor {
  n = 0
  receive(): void {
    this.n++
    handled++
  }
}
const counting = job(
  'counting',
  j => {
    const events = j.source('events', lines('unused', json<{ key: string }>()))
    events.keyBy(event => event.key).actor(Count)
    return { out: events.filter(() => false).to('out', files('unused', json())) }
  },
  { store: 'level', cache, interval: '20ms' }
)

const clock = new VirtualClock()
const passed = (ms: number): Promise<void> => new Promise(resolve => clock.after(ms, resolve))

/** Always more events, each of a key of its own. */
class Endless implements LogReader {
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve([{ name: '0' }])
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  fetch(_partition: number, position: number): Promise<Fetched> {
    return Promise.resolve({
      kind: 'records',
      next: position + batch,
      end: position + batch,
      batch: {
        count: batch,
        sizeBytes: batch,
        offset: i => position + i,
        timestamp: () => clock.now(),
        key: () => undefined,
        value: () => undefined,
        valueObject: i => ({ key: `k${position + i}` })
      }
    })
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A read takes 1 ms, so that one is always under way. */
class SlowStore extends MemoryStore {
  override async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    await passed(1)
    return super.getMany(keys)
  }
}

async function advance(ms: number): Promise<void> {
  for (const end = clock.now() + ms; clock.now() < end;) {
    for (let turn = 0; turn < 8; turn++) await new Promise(resolve => setImmediate(resolve))
    clock.step(clock.now() + 1)
  }
}

/** How many keys were handled, and how many of their actors were in memory at a time. */
async function underLoad(begin: typeof beginIncarnation): Promise<{ readonly keys: number; readonly most: number }> {
  handled = 0
  let nonces = 0
  const begun = begin(counting.plan, {
    clock,
    storage: new DirectoryStorage(new MemoryFiles(), '/checkpoints'),
    store: () => Promise.resolve(new SlowStore()),
    reader: () => new Endless(),
    publishers: new Map([['out', new MemoryPublisher()]]),
    appenders: new Map(),
    nonce: () => `n${nonces++}`
  })
  let settled = false
  void begun.finally(() => (settled = true))
  while (!settled) await advance(1)
  const incarnation = await begun
  if (incarnation.kind !== 'running') throw new Error('it has finished')
  const { shell, worker } = incarnation
  shell.start()
  let most = 0
  for (let i = 0; i < 50; i++) {
    await advance(10)
    most = Math.max(most, worker.counts.keys)
  }
  await Promise.all([shell.stop(), advance(1_000)])
  return { keys: handled, most }
}

void t.test('the cache keeps to its limit while reads of the store follow one another', async t => {
  const { keys, most } = await underLoad(beginIncarnation)
  t.ok(keys > 10_000, `${keys} keys`)
  // What no checkpoint holds yet stays, which is that of a few intervals out of 25.
  t.ok(most < keys / 5, `${most} of ${keys} actors in memory at most`)
})

void t.test('it would not if actors left only between two turns', async t => {
  const load = planted(t, [['runtime/core/keyed-task.js', 'left -= done;', 'left -= done; continue;']])
  const module = await load<{ beginIncarnation: typeof beginIncarnation }>('runtime/shell/incarnation.js')
  const { keys, most } = await underLoad(module.beginIncarnation)
  t.equal(most, keys)
})
