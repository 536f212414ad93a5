/** Forks on a disk that forgets: a crash at every file operation, two forks at once, and what was decided before the old lineage ends. */
import t from 'tap'
import { followLineages, newestLineage, type Lineages, type OpenLineage } from '../../../checkpoint/lineages.ts'
import { readHead } from '../../../checkpoint/recovery.ts'
import { findRestorePoint } from '../../../checkpoint/restore-point.ts'
import { SlotMachine } from '../../../runtime/core/slot-machine.ts'
import type { Publisher } from '../../../runtime/ports/publisher.ts'
import { beginIncarnation } from '../../../runtime/shell/incarnation.ts'
import { MemoryPublisher } from '../../../simulations/memory-publisher.ts'
import { planted, type Change } from '../../support/planted.ts'
import { counted, forkFaults, forkWithFaults, lived, livedHastily, Machine, plan, stranger } from './fork-machine.ts'
import type { ForkCode } from './fork-machine.ts'

t.setTimeout(600_000)

void t.test(
  'what the old lineage decided is published before it ends; the new one counts on from the savepoint',
  async t => {
    const machine = await lived()
    t.same(await machine.lines(1), counted(0, 30), 'decided, and not published')
    const { lineage, storage } = await machine.fork('a')
    t.equal(lineage, 2)
    t.same(await machine.lines(1), counted(0, 60), 'sealed')
    const { head } = await readHead(storage, 'counted', machine.nonce)
    t.match(head?.manifest, {
      epoch: 0,
      lineage: 2,
      parent: { lineage: 1 },
      outboxes: [],
      ledgers: [],
      savepointNames: []
    })
    await machine.run(75, 'c')
    t.same(await machine.lines(1), counted(0, 60))
    t.same(await machine.lines(2), counted(30, 75))
  }
)

void t.test('what was to be published when the savepoint was taken is left to the old lineage', async t => {
  const machine = await livedHastily()
  const { lineage } = await machine.fork('a')
  await machine.run(75, 'c')
  t.same(await machine.lines(1), counted(0, 60))
  t.same(await machine.lines(lineage), counted(30, 75))
})

void t.test(
  'where positions are told along, a slot of the lineage that has ended says so to whoever comes back',
  async t => {
    const publisher = new MemoryPublisher()
    const telling: Publisher = {
      describe: () => publisher.describe(),
      initialise: async slot => ({
        ...(await publisher.initialise(slot)),
        note: () => Promise.resolve({ kind: 'published' as const })
      }),
      close: () => publisher.close()
    }
    const machine = await lived(undefined, telling)
    const [{ log }] = await followLineages(machine.lineages, machine.nonce)
    const { generation } = log
    await machine.fork('a')
    t.equal(publisher.records.length, 60)
    const slots = publisher.slots.filter(({ lineage }) => lineage === 1)
    t.ok(slots.length > 1)
    for (const slot of slots) {
      const zombie = new SlotMachine(slot, { floor: undefined, head: 99, generation, owner: 'zombie' })
      zombie.next()
      zombie.initialised()
      const entry = await (await publisher.initialise(slot)).readLedger()
      t.throws(() => zombie.ledgerRead(entry), { code: 'FENCED' })
    }
  }
)

void t.test('nobody leads a lineage that has ended', async t => {
  const machine = await lived()
  const [old] = await followLineages(machine.lineages, machine.nonce)
  await machine.fork('a')
  const again = machine.lineages.storage(1)
  for (const code of [plan, stranger])
    await t.rejects(beginIncarnation(code, machine.ports({ ...old, storage: again }, 60)), { code: 'LINEAGE_ENDED' })
  await t.rejects(old.log.append({ kind: 'leads', worker: 'zombie', generation: 9 }).then(orThrow), { code: 'FENCED' })
  await t.rejects(old.log.append({ kind: 'leads', worker: 'zombie', generation: 9 }).then(orThrow), { code: 'FENCED' })
  await t.rejects(beginIncarnation(plan, { ...machine.ports(await machine.newest(), 60), lineage: 1 }), {
    code: 'FOREIGN_CHECKPOINT'
  })
})

void t.test('a checkpoint that is given up before the fork takes over is refused, and the job goes on', async t => {
  const machine = await lived()
  const [{ log }] = await followLineages(machine.lineages, machine.nonce)
  const chosen = log.completed(2)[1]?.epoch ?? 0
  await t.rejects(
    machine.fork(String(chosen), () => machine.run(120, 'd')),
    {
      code: 'NOT_FOUND',
      message: /is not kept any more: the job went on meanwhile, to checkpoint \d+; nothing was restored/
    }
  )
  t.equal((await machine.newest()).lineage, 1)
  await machine.run(150, 'e')
  t.same(await machine.lines(1), counted(0, 150))
})

void t.test('a checkpoint is found though the newest one of the log as it was read is deleted by then', async t => {
  const machine = await lived()
  const [open] = await followLineages(machine.lineages, machine.nonce)
  let gone: unknown
  for (const decision of open.log.completed(Infinity))
    if ((await open.storage.read(decision.manifest.name)) === undefined) gone = decision
  t.ok(gone)
  const log = Object.create(open.log, { head: { value: gone } }) as typeof open.log
  t.match(await findRestorePoint([{ ...open, log }], 'counted', 'a'), { lineage: 1, manifest: { job: 'counted' } })
})

void t.test('a fork whose checkpoint is given up while it copies was overtaken: nothing is damaged', async t => {
  const machine = await lived()
  const [{ log }] = await followLineages(machine.lineages, machine.nonce)
  const chosen = String(log.completed(2)[1]?.epoch)
  const { lineages } = machine
  const storageOf = lineages.storage.bind(lineages)
  let copying: Promise<unknown> | undefined
  const slow = Object.assign(Object.create(lineages) as Lineages, {
    storage: (lineage: number) => {
      const real = storageOf(lineage)
      const read = async (name: string): Promise<Uint8Array | undefined> => {
        if (/^(deltas|bases)\//.test(name)) await (copying ??= machine.run(150, 'd'))
        return real.read(name)
      }
      return Object.assign(Object.create(real) as typeof real, { read })
    }
  })
  await t.rejects(machine.fork(chosen, undefined, slow), { code: 'FENCED' })
  await machine.run(180, 'e')
  t.same(await machine.lines(1), counted(0, 180))
})

/** As callers of `append` do. */
function orThrow({ kind }: { readonly kind: 'appended' | 'lost' }): void {
  if (kind === 'lost') throw Object.assign(new Error(), { code: 'FENCED' })
}

void t.test('two forks at once: one wins, the other is told', async t => {
  const told: unknown[] = []
  for (let lead = 0; lead < 20; lead++) {
    const machine = await lived()
    const later = async (): Promise<OpenLineage> => {
      for (let turns = 0; turns < lead * 25; turns++) await Promise.resolve()
      return machine.fork('a')
    }
    const ended = await Promise.allSettled([machine.fork('a'), later()])
    const won = ended.flatMap(each => (each.status === 'fulfilled' ? [each.value.lineage] : []))
    const codes = ended.flatMap(each => (each.status === 'rejected' ? [(each.reason as { code?: string }).code] : []))
    for (const code of codes) t.match(code, /^(FENCED|LINEAGE_ENDED)$/)
    told.push(...codes)
    t.equal(new Set(won).size, 1, `one lineage wins (${won.join()})`)
    t.equal((await machine.newest()).lineage, won[0])
    await machine.run(75, 'c')
    t.same(await machine.lines(1), counted(0, 60))
    t.same(await machine.lines(won[0] ?? 0), counted(30, 75))
  }
  t.ok(told.length > 1, `${told.length} were told`)
})

for (const [what, faultAt] of Object.entries(forkFaults))
  void t.test(`${what}, at each operation of a fork: it is not there, or whole`, async t => {
    const { seen, wrong } = await forkWithFaults(faultAt, what)
    t.same(wrong, [])
    t.same(seen, [1, 2], 'before and after the entry that ends the old lineage')
  })

void t.test('a start that is slow to look does not take a fork meanwhile for damage', async t => {
  const machine = new Machine()
  const { lineages } = machine
  let forked: Promise<OpenLineage> | undefined
  /** The job is run for the first time, and forked. */
  const meanwhile = async (): Promise<OpenLineage> => {
    await machine.run(30, 'a')
    await machine.run(60, 'b')
    return machine.fork('a')
  }
  const slow: Lineages = {
    list: () => lineages.list(),
    storage: lineage => {
      const real = lineages.storage(lineage)
      const read = async (name: string): Promise<Uint8Array | undefined> => {
        const bytes = await real.read(name)
        if (bytes === undefined) await (forked ??= meanwhile())
        return bytes
      }
      return Object.assign(Object.create(real) as typeof real, { read })
    }
  }
  const { lineage, log } = await newestLineage(slow, machine.nonce)
  t.equal(lineage, 1, 'where the job stood when it looked')
  t.equal((await machine.newest()).lineage, 2)
  t.match(await log.append({ kind: 'leads', worker: 'late', generation: 1 }), { kind: 'lost' })
})

const fork = 'runtime/shell/fork.js'
const found = 'checkpoint/lineages.js'
const mistakes: Readonly<Record<string, readonly Change[]>> = {
  'what was decided is not published before the lineage ends': [
    [fork, 'await sealSlots(settings, head, generation)', 'void 0']
  ],
  'the old lineage ends before the new one is there': [
    [
      fork,
      'const made = await prepareLineage(settings, generation + 1);',
      `const early = { into: newest.lineage + 1, lineage: point.lineage, epoch: point.manifest.epoch };
       await append(log, { kind: 'leads', worker, generation: generation + 1, ends: early });
       return await prepareLineage(settings, generation + 1);`
    ]
  ],
  'the new lineage names the files of the old one': [
    [fork, 'copies.push(await copyFile(point, file, files, stage.name))', 'copies.push(file)']
  ],
  'the new lineage inherits what is to be published': [[fork, 'outboxes: [],', 'outboxes: point.manifest.outboxes,']],
  'the new lineage inherits what is published': [[fork, 'ledgers: []', 'ledgers: point.manifest.ledgers']],
  'whoever has lost the lineage forks it all the same': [
    [fork, "if ((await log.append(decision)).kind === 'lost')", "if ((await log.append(decision)).kind === '')"]
  ],
  'what is cleared away is the new lineage too': [[fork, 'lineage >= made)', 'lineage > made)']],
  'the newest lineage is the one with the highest number': [
    [
      found,
      'for (let ends = chain[0].log.ends; ends !== undefined;) {',
      'for (let ends = listed.at(-1) > 1 ? { into: listed.at(-1) } : undefined; ends !== undefined;) {'
    ]
  ]
}

/** The tests above, in short. */
async function noticed(code: ForkCode): Promise<string | undefined> {
  try {
    for (const machine of [await lived(code), await livedHastily(code)]) {
      const { lineage } = await machine.fork('a')
      await machine.run(75, 'c')
      const [old, made] = [await machine.lines(1), await machine.lines(lineage)]
      if (old.join() !== counted(0, 60).join()) return `the old lineage shows ${old.join()}`
      if (made.join() !== counted(30, 75).join()) return `the new lineage shows ${made.join()}`
    }
    const late = await lived(code)
    const both = await Promise.allSettled([late.fork('a'), late.fork('a')])
    const won = both.flatMap(each => (each.status === 'fulfilled' ? [each.value.lineage] : []))
    if (new Set(won).size !== 1) return `lineages ${won.join()} won`
    const { wrong } = await forkWithFaults(
      (operation, at) => (operation >= at ? { kind: 'halt' } : undefined),
      'mistake',
      code
    )
    return wrong.length > 0 ? wrong.join(', ') : undefined
  } catch (error) {
    return String(error)
  }
}

for (const [name, changes] of Object.entries(mistakes))
  void t.test(`a mistake is noticed: ${name}`, async t => {
    const load = planted(t, changes)
    const { forkLineage } = await load<ForkCode>(fork)
    const { followLineages, newestLineage } = await load<ForkCode>(found)
    const what = await noticed({ forkLineage, followLineages, newestLineage })
    t.ok(what, what ?? 'not noticed')
  })
