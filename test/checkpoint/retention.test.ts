/** Plans of merging and deleting, against what they must never do. */
import fc from 'fast-check'
import t from 'tap'
import { planCompaction } from '../../checkpoint/compaction.ts'
import type { Manifest } from '../../checkpoint/manifest.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { filesOf, planRetention } from '../../checkpoint/retention.ts'
import { LiveRecords, prefixDelete, type StateRecord } from '../../checkpoint/state-file.ts'

interface File {
  readonly sizeBytes: number
  readonly base: boolean
}

function checkMerging(plan: typeof planCompaction): void {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 200, maxLength: 400 }), sizes => {
      let files: File[] = []
      let written = 0
      let rewritten = 0
      for (const sizeBytes of sizes) {
        files = [...files, { sizeBytes, base: false }]
        written += sizeBytes
        const run = plan(files, 32)
        if (run === undefined) continue
        if (run.base && run.from !== 0) throw new Error('a base that does not begin at the first file')
        if (!run.base && files.slice(run.from, run.to).some(file => file.base))
          throw new Error('a base merged into a delta')
        if (run.to - run.from < 2) throw new Error('a merge of one file')
        const merged = files.slice(run.from, run.to).reduce((sum, file) => sum + file.sizeBytes, 0)
        rewritten += merged
        // The keys are about a megabyte in all: they repeat.
        files = files.toSpliced(run.from, run.to - run.from, { sizeBytes: Math.min(merged, 1_000_000), base: run.base })
      }
      if (files.length > 40) throw new Error(`${files.length} files`)
      if (rewritten > 12 * written) throw new Error(`${written} bytes were rewritten as ${rewritten}`)
    }),
    { numRuns: 100 }
  )
}

void t.test(
  'merging: a base only from the first file on, runs contiguous, and the number of files stays bounded',
  t => {
    checkMerging(planCompaction)
    t.end()
  }
)

void t.test('planted: files that are never merged, everything merged each time, a base from the middle', t => {
  t.throws(() => checkMerging(() => undefined), 'never')
  t.throws(
    () => checkMerging(files => (files.length < 2 ? undefined : { from: 0, to: files.length, base: true })),
    'always'
  )
  t.throws(
    () =>
      checkMerging((files, limit) => {
        const run = planCompaction(files, limit)
        return run?.from === 0 && run.to > 2 ? { ...run, from: 1 } : run
      }),
    'middle'
  )
  t.end()
})

void t.test('a base cut into several files counts as one base', t => {
  const parts = Array.from({ length: 40 }, () => ({ sizeBytes: 32_000_000, base: true }))
  t.equal(planCompaction(parts, 32), undefined)
  t.equal(planCompaction([...parts, { sizeBytes: 10, base: false }], 32), undefined)
  t.end()
})

const manifest = (epoch: number, files: readonly string[]): Manifest =>
  ({ epoch, stages: [{ files: files.map(name => ({ name })) }], outboxes: [] }) as unknown as Manifest

function checkDeleting(planOf: typeof planRetention): void {
  const name = fc.record({ epoch: fc.integer({ min: 1, max: 9 }), nonce: fc.constantFrom('a', 'b', 'c') })
  fc.assert(
    fc.property(
      fc.array(fc.record({ epoch: fc.integer({ min: 1, max: 6 }), files: fc.array(name, { maxLength: 5 }) }), {
        maxLength: 4
      }),
      fc.array(name, { maxLength: 20 }),
      (kept, stray) => {
        const retained = kept.map(({ epoch, files }) => ({
          name: objectNames.manifest(epoch, 'm'),
          manifest: manifest(
            epoch,
            files.map(file => objectNames.delta(file.epoch, 's', 0, file.nonce))
          )
        }))
        const needed = new Set(retained.flatMap(each => [each.name, ...filesOf(each.manifest)]))
        const stored = [
          ...new Set([...needed, ...stray.map(file => objectNames.delta(file.epoch, 's', 0, file.nonce))])
        ]
        const files = stored.filter(each => each.startsWith('deltas/'))
        const manifests = [...stored.filter(each => each.startsWith('manifests/')), objectNames.manifest(1, 'old')]
        const plan = planOf(retained, { files, manifests }, objectNames.epochOf)
        const head = Math.max(0, ...retained.map(each => each.manifest.epoch))
        for (const gone of [...plan.files, ...plan.manifests]) {
          if (needed.has(gone)) throw new Error(`${gone} is needed`)
          if ((objectNames.epochOf(gone) ?? 0) > head) throw new Error(`${gone} may belong to a decision under way`)
        }
        const left = files.filter(each => !plan.files.includes(each))
        for (const each of left)
          if (!needed.has(each) && (objectNames.epochOf(each) ?? 0) <= head) throw new Error(`${each} stays for ever`)
      }
    ),
    { numRuns: 2000 }
  )
}

void t.test('deleting: nothing a retained manifest names, nothing of an undecided epoch, everything else', t => {
  checkDeleting(planRetention)
  t.end()
})

void t.test('planted: a savepoint forgotten, an undecided epoch deleted, nothing deleted', t => {
  t.throws(() => checkDeleting((retained, ...rest) => planRetention(retained.slice(1), ...rest)), 'forgotten')
  t.throws(() => checkDeleting((retained, stored) => planRetention(retained, stored, () => 0)), 'undecided')
  t.throws(() => checkDeleting(() => ({ files: [], manifests: [] })), 'nothing')
  t.end()
})

void t.test('applying records file by file equals applying their merge, deletions of prefixes included', t => {
  const key = fc.uint8Array({ minLength: 1, maxLength: 3, max: 2 }).map(bytes => Uint8Array.from([0x6d, ...bytes]))
  const record: fc.Arbitrary<StateRecord> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ keyGroup: fc.constant(1), key, value: fc.uint8Array({ maxLength: 3 }) }) },
    { weight: 2, arbitrary: key.map(key => ({ keyGroup: 1, key, value: undefined })) },
    {
      weight: 1,
      arbitrary: key.map(key => ({ keyGroup: 1, key: Uint8Array.from([prefixDelete, ...key]), value: undefined }))
    }
  )
  const live = (records: Iterable<StateRecord>, tombstones: boolean): StateRecord[] => {
    const merged = new LiveRecords(tombstones)
    for (const each of records) merged.apply(each)
    return [...merged.values()]
  }
  const text = (records: readonly StateRecord[]): string =>
    records
      .map(({ key, value }) => `${Buffer.from(key).toString('hex')}=${Buffer.from(value ?? []).toString('hex')}`)
      .sort()
      .join()
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), fc.nat(40), fc.nat(40), (records, a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      const merged = [...records.slice(0, from), ...live(records.slice(from, to), true), ...records.slice(to)]
      const [whole, parts] = [text(live(records, false)), text(live(merged, false))]
      if (whole !== parts) throw new Error(`${whole}\n${parts}`)
    }),
    { numRuns: 5000 }
  )
  t.end()
})
