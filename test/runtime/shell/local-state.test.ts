/**
 * The local store that is used again: after any history of checkpoints, moves, merges, crashes at any write and power losses it holds what
 * a store made from the checkpoint alone holds.
 */
import fc from 'fast-check'
import t from 'tap'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import { epochHere, type Manifest, type StateFileRef } from '../../../checkpoint/manifest.ts'
import { prefixDelete, StateFileWriter, type StateRecord } from '../../../checkpoint/state-file.ts'
import { mergeFiles } from '../../../checkpoint/state-reader.ts'
import {
  afterPrefix,
  type StateStore,
  type StorePrefixDelete,
  type StoreWrite
} from '../../../checkpoint/state-store.ts'
import { ByteWriter } from '../../../runtime/kernel/bytes.ts'
import { sha256Hex } from '../../../runtime/kernel/checksum.ts'
import { encodeKey, keyGroupOf } from '../../../runtime/kernel/keys.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { LocalState } from '../../../runtime/shell/local-state.ts'
import { ForgetfulFiles } from '../../../simulations/forgetful-files.ts'
import { planted, type Change } from '../../support/planted.ts'

const [keyGroups, slots, stage] = [8, 4, 's']
type Write = StoreWrite | StorePrefixDelete
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

t.setTimeout(120_000)

class Crash extends Error {}

/** The disk below the stores of one worker: writes in order, lost from some write on. */
class Disk {
  writes: Write[] = []
  private synced: readonly StoreWrite[] = []
  /** Until the process dies. */
  left = Infinity

  async open(): Promise<StateStore> {
    const store = new MemoryStore()
    await store.apply([...this.synced, ...this.writes])
    this.synced = await store.scan(Uint8Array.of(0), Uint8Array.of(0xff), Infinity)
    this.writes = []
    const { apply } = store
    store.apply = async writes => {
      for await (const write of writes) {
        if (this.left-- <= 0) throw new Crash('the process is gone')
        this.writes.push(structuredClone(write))
        await apply.call(store, [write])
      }
    }
    return store
  }
}

type Head = { readonly manifest: Manifest; readonly hash: string }

/** Checkpoints of one stage, and the line of them that leads to the newest. */
class History {
  readonly storage = new DirectoryStorage(new ForgetfulFiles(), '/checkpoints')
  lineage = 1
  line: Head[] = []
  private made = 0

  get head(): Head | undefined {
    return this.line.at(-1)
  }
  get epoch(): number {
    return this.head?.manifest.epoch ?? 0
  }
  decided = (epoch: number): Promise<string | undefined> =>
    Promise.resolve(this.line.find(each => each.manifest.epoch === epoch)?.hash)

  async create(bytes: Uint8Array, rest: Pick<StateFileRef, 'epoch' | 'records' | 'base'>): Promise<StateFileRef> {
    const name = `deltas/${String(rest.epoch).padStart(12, '0')}-${++this.made}`
    await this.storage.create(name, bytes)
    return { name, sizeBytes: bytes.length, sha256: sha256Hex(bytes), ...rest }
  }

  async decide(records: readonly StateRecord[]): Promise<void> {
    const epoch = this.epoch + 1
    const files = [...this.files]
    if (records.length > 0) {
      const writer = new StateFileWriter()
      for (const { keyGroup, key, value } of records) writer.add(keyGroup, key, value)
      const bytes = writer.finish({ job: 'j', lineage: this.lineage, generation: 1, epoch, stage })
      files.push(await this.create(bytes, { epoch, records: records.length, base: false }))
    }
    this.push(epoch, files)
  }

  /** The next manifest has files from the first on, or later ones, as one. */
  async merge(random: Prng): Promise<void> {
    const { files } = this
    if (files.length < 2) return this.decide([])
    const from = random.int(files.length - 1)
    const to = from + 2 + random.int(files.length - from - 1)
    const run = files.slice(from, to)
    const epoch = Math.max(...run.map(epochHere))
    const base = from === 0
    const merged = await mergeFiles(
      this.storage,
      run,
      { job: 'j', lineage: this.lineage, generation: 1, epoch, stage },
      base,
      (bytes, records) => this.create(bytes, { epoch, records, base }),
      () => Promise.resolve()
    )
    this.push(this.epoch + 1, [...files.slice(0, from), ...merged, ...files.slice(to)])
  }

  /** The newest checkpoints are lost, and others with their numbers come. */
  forget(count: number): void {
    this.line = this.line.slice(0, Math.max(1, this.line.length - count))
  }

  /** The job goes on from a checkpoint in a lineage of its own, with copies of its files. */
  fork(from: Head | undefined): void {
    const files = from?.manifest.stages[0]?.files ?? []
    const { lineage } = this
    this.lineage++
    this.line = []
    this.push(
      0,
      files.map(file => ({ lineage, ...file }))
    )
  }

  private get files(): readonly StateFileRef[] {
    return this.head?.manifest.stages[0]?.files ?? []
  }

  private push(epoch: number, files: readonly StateFileRef[]): void {
    const stages = [{ name: stage, files }]
    const manifest = { job: 'j', lineage: this.lineage, epoch, stages } as unknown as Manifest
    this.line.push({ manifest, hash: `${this.lineage} ${epoch} ${++this.made}` })
  }
}

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']

/** What one handler may leave behind: an actor with timers, an entry of a map, a map that was cleared, a message under way. */
function change(random: Prng): StateRecord {
  const keyBytes = encodeKey(names[random.int(names.length)] as string)
  const keyGroup = keyGroupOf(keyBytes, keyGroups)
  const kind = random.int(10)
  const gone = random.int(4) === 0
  if (kind < 5) return { keyGroup, key: Uint8Array.of(0x61, ...keyBytes), value: gone ? undefined : actor(random) }
  if (kind < 6) return { keyGroup, key: Uint8Array.of(prefixDelete, 0x6d, ...keyBytes), value: undefined }
  const value = gone ? undefined : Uint8Array.of(random.int(256))
  if (kind < 9) return { keyGroup, key: Uint8Array.of(0x6d, ...keyBytes, random.int(3)), value }
  return { keyGroup, key: Uint8Array.of(0x72, 0, 0, 0, random.int(2)), value }
}

function actor(random: Prng): Uint8Array {
  const writer = new ByteWriter(64)
  writer.varuint(0)
  writer.f64(1)
  writer.f64(2)
  const timers = random.int(2)
  writer.varuint(timers)
  for (let i = 0; i < timers; i++) {
    writer.string('t')
    writer.f64(random.int(5))
  }
  writer.varuint(0)
  writer.u8(random.int(256))
  return writer.take()
}

type Module = { readonly LocalState: typeof LocalState }

/** Runs a random life; throws when a store that was used again differs from one made anew. */
async function live(seed: number, { LocalState: Code }: Module): Promise<LocalState['report'][]> {
  const random = new Prng(seed)
  const history = new History()
  const disk = new Disk()
  const reports: LocalState['report'][] = []
  const never = (): boolean => false
  const settings = (
    store: StateStore,
    own: readonly number[],
    isOver = never
  ): Parameters<typeof LocalState.open>[0] => ({
    store,
    origin: { job: 'j', lineage: history.lineage, keyGroups, slots },
    stages: [{ index: 0, name: stage, slots: own }],
    head: history.head,
    storage: history.storage,
    decided: history.decided,
    isOver
  })
  const open = (store: StateStore, own: readonly number[]): Promise<LocalState> => Code.open(settings(store, own))
  await history.decide([change(random)])
  for (let life = 0; life < 8; life++) {
    disk.left = random.int(3) === 0 ? random.int(60) : Infinity
    const own = [0, 1, 2, 3].filter(() => random.int(3) > 0)
    try {
      // Before it takes part, as far as it comes.
      let left = random.int(3) === 0 ? random.int(30) : 0
      if (left > 0) await Code.catchUp(settings(await disk.open(), own, () => left-- <= 0))
      if (left > 0) await history.decide([change(random)])
      const local = await open(await disk.open(), own)
      reports.push(local.report)
      await compare(local, await open(new MemoryStore(), own), own, seed)
      for (let epochs = random.int(6); epochs > 0; epochs--) {
        const records = Array.from({ length: random.int(12) }, () => change(random))
        if (random.int(5) === 0) await history.merge(random)
        else await history.decide(records)
        const head = history.head as Head
        const mine = records.filter(({ keyGroup }) => own.includes(keyGroup % slots))
        const point = { epoch: history.epoch, hash: head.hash }
        const lag = head.manifest.stages[0]?.files.at(-1)?.epoch !== history.epoch
        await local.advance(point, lag ? [] : mine.flatMap(record => [...local.writes(0, record)]))
        while (random.int(3) === 0 && (await local.clearOne()));
      }
    } catch (error) {
      if (!(error instanceof Crash)) throw error
    }
    // Power loss, checkpoints that this worker sees nothing of, checkpoints that are lost, another lineage.
    if (random.int(4) === 0) disk.writes = disk.writes.slice(0, random.int(disk.writes.length + 1))
    for (let away = random.int(3); away > 0; away--)
      if (random.int(4) === 0) await history.merge(random)
      else await history.decide(Array.from({ length: random.int(6) }, () => change(random)))
    if (random.int(8) === 0) {
      history.forget(1 + random.int(3))
      await history.decide([change(random)])
    }
    if (random.int(8) === 0) {
      history.fork(history.line[random.int(history.line.length + 1)])
      await history.decide([change(random)])
    }
  }
  return reports
}

async function compare(kept: LocalState, made: LocalState, own: readonly number[], seed: number): Promise<void> {
  for (const slot of own) {
    const [found, expected] = [await content(kept, slot), await content(made, slot)]
    const records = ([key]: readonly [string, string]): boolean => !/^7[47]/.test(key)
    if (JSON.stringify(found.filter(records)) !== JSON.stringify(expected.filter(records)))
      throw new Error(`seed ${seed}, slot ${slot}: ${JSON.stringify([found, expected])}`)
    // A timer too many is harmless, one too few is not.
    const keys = new Set(found.map(([key]) => key))
    for (const [key] of expected) if (!keys.has(key)) throw new Error(`seed ${seed}, slot ${slot}: no timer ${key}`)
    const messages: string[][] = [[], []]
    for (const [i, local] of [kept, made].entries())
      for await (const { key, value } of local.held(0, slot)) messages[i]?.push(`${hex(key)} ${hex(value)}`)
    if (messages[0]?.join() !== messages[1]?.join()) throw new Error(`seed ${seed}, slot ${slot}: other messages`)
  }
}

async function content(local: LocalState, slot: number): Promise<[string, string][]> {
  const entries = await local.scan(0, slot, Uint8Array.of(0), afterPrefix(Uint8Array.of(0xf0)), 100_000)
  return entries.map(({ key, value }) => [hex(key), hex(value)])
}

const lives = 80

void t.test('what was kept and caught up equals what the checkpoint alone makes', async t => {
  const reports = (await Promise.all(Array.from({ length: lives }, (_, seed) => live(seed, { LocalState })))).flat()
  for (const how of ['kept', 'caughtUp', 'fetched'] as const)
    t.ok(reports.filter(report => report[how] > 0).length > lives / 4, how)
  for (const why of ['equals no checkpoint', 'so old', 'to its end', 'is of lineage'])
    t.ok(
      reports.some(({ refused }) => refused.some(each => each.includes(why))),
      why
    )
})

const localState = 'runtime/shell/local-state.js'
const storeParts = 'checkpoint/store-parts.js'
const mistakes: Readonly<Record<string, Change>> = {
  'the list is written before what it tells of': [
    localState,
    'yield listWrite(before); yield* writes; yield listWrite(after);',
    'yield listWrite(after); yield* writes;'
  ],
  'a part is not said to be on its way': [
    localState,
    'yield listWrite(before); yield* writes; yield listWrite(after);',
    'yield* writes; yield listWrite(after);'
  ],
  'a checkpoint that was given up is trusted': [
    storeParts,
    'if (!proven(at) || (to !== null && !proven(to)))',
    'if (false)'
  ],
  'where a part was on its way to is trusted': [
    storeParts,
    'if (!proven(at) || (to !== null && !proven(to)))',
    'if (!proven(at))'
  ],
  'a full image is applied as if it were a delta': [
    storeParts,
    'if (!files.some(file => epochHere(file) <= at.epoch))',
    'if (false)'
  ],
  'what a fork has copied counts by the numbers of where it came from': [
    storeParts,
    'files.filter(file => epochHere(file) > from)',
    'files.filter(file => file.epoch > from)'
  ],
  'a part that is loading passes for loaded': [storeParts, 'slot, at: null, to: null }', 'slot, at: point, to: null }'],
  'slots that were given up half-way pass for caught up': [
    localState,
    'if (settings.isOver()) break;',
    'if (settings.isOver()) { await store.apply([listWrite(plan.after)]); break; }'
  ],
  'deletions are forgotten': ['checkpoint/recovery.js', 'origin, true, { wanted }', 'origin, false, { wanted }'],
  'messages of two key groups are taken for one': [localState, 'return isRecordedMessage(key) ?', 'return false ?']
}
for (const [name, mistake] of Object.entries(mistakes))
  void t.test(`it is noticed when ${name}`, async t => {
    const module = await planted(t, [mistake])<Module>(localState)
    let noticed = 0
    for (let seed = 0; noticed === 0 && seed < lives; seed++) await live(seed, module).catch(() => noticed++)
    t.ok(noticed > 0)
  })

void t.test(
  'a store that was not brought to the checkpoint, because its generation was over, is not handed out',
  async t => {
    const opening = LocalState.open({
      store: new MemoryStore(),
      origin: { job: 'j', lineage: 1, keyGroups, slots },
      stages: [{ index: 0, name: stage, slots: [0] }],
      head: undefined,
      storage: undefined as never,
      decided: () => Promise.resolve(undefined),
      isOver: () => true
    })
    await t.rejects(opening, { code: 'FENCED' })
  }
)

void t.test('a list of parts with any bit flipped is no list', async t => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(7), async (at, bit) => {
      const disk = new Disk()
      const settings = {
        origin: { job: 'j', lineage: 1, keyGroups, slots },
        stages: [{ index: 0, name: stage, slots: [0] }],
        head: undefined,
        storage: undefined as never,
        decided: () => Promise.resolve(undefined),
        isOver: () => false
      }
      const store = await disk.open()
      await LocalState.open({ ...settings, store })
      const key = Uint8Array.of(0, 0, 0, 0)
      const list = (store.getSync(key) as Uint8Array).slice()
      list[at % list.length] = (list[at % list.length] as number) ^ (1 << bit)
      await store.apply([{ key, value: list }])
      const { report } = await LocalState.open({ ...settings, store })
      return report.fetched === 1 && report.refused.length > 0
    }),
    { numRuns: 100 }
  )
  t.pass('none was taken for one')
})
