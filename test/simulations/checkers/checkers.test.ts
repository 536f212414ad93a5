/** Every checker is silent about a run in which nothing is wrong, and notices what it is for. */
import t from 'tap'
import type { Manifest } from '../../../checkpoint/manifest.ts'
import { checkEvidence, checkerNames } from '../../../simulations/checkers/index.ts'
import type { Evidence } from '../../../simulations/checkers/evidence.ts'
import { sendsInLoops } from '../../../simulations/workload/shape.ts'
import type { Row } from '../../../simulations/workload/program.ts'
import type { Pending } from '../../../simulations/workload/program-actor.ts'
import { editActor, editManifests, editPublication, replaceAt, storedActors } from '../../support/tampering.ts'
import { editStage, lateTampering, type Planted } from '../../support/late-tampering.ts'
import { otherTrace } from '../../support/trace-tampering.ts'
import { runWorkload } from '../../support/workload-run.ts'

t.setTimeout(600_000)

const runs: Evidence[] = []
const seeds = Number(process.env['CAIRN_SEEDS'] ?? 24)

void t.test('no checker says anything about runs with crashes in one process', { timeout: 600_000 }, async t => {
  let [events, crashes] = [0, 0]
  for (let seed = 0; seed < seeds; seed++) {
    const run = await runWorkload(`checkers ${seed}`, {
      records: 300,
      cycles: seed % 3 === 2,
      lateness: seed % 2 === 0,
      fleeting: true
    })
    t.equal(run.failure, undefined, run.workload.description)
    t.strictSame(checkEvidence(run.evidence), [], `seed ${seed}`)
    runs.push(run.evidence)
    events += run.workload.inputs.flat(2).length
    crashes += run.crashes
  }
  t.ok(crashes >= seeds / 2, `${seeds} runs, ${events} records, ${crashes} crashes`)
})

const rowsAt = (evidence: Evidence, most = 0): number =>
  evidence.publications.findIndex(({ records, slot }) => records.length > most && slot.sink.startsWith('out'))
const rowOf = (value: Uint8Array | undefined): Row => JSON.parse(new TextDecoder().decode(value)) as Row
const lastEpoch = (evidence: Evidence): number =>
  evidence.decisions.reduce((last, { decision }) => (decision.kind === 'completed' ? decision.epoch : last), 0)
/** The manifest of an epoch in the middle. */
const middle = (evidence: Evidence): number => Math.ceil(lastEpoch(evidence) / 2)

const planted: readonly Planted[] = [
  {
    name: 'a publication comes twice',
    checker: 'output exactly once',
    tamper(evidence) {
      const at = rowsAt(evidence)
      if (at < 0) return undefined
      const again = evidence.publications[at] as Evidence['publications'][number]
      return { ...evidence, publications: evidence.publications.toSpliced(at, 0, again) }
    }
  },
  {
    name: 'a record is published twice',
    checker: 'output right',
    tamper(evidence) {
      const at = rowsAt(evidence)
      return at < 0
        ? undefined
        : editPublication(evidence, at, ({ records }) => ({
            records: [...records, records[0] as (typeof records)[number]]
          }))
    }
  },
  {
    name: 'a record is lost',
    checker: 'output exactly once',
    tamper(evidence) {
      const at = rowsAt(evidence)
      return at < 0 ? undefined : editPublication(evidence, at, ({ records }) => ({ records: records.slice(1) }))
    }
  },
  {
    name: 'the last publication is missing',
    checker: 'output exactly once',
    tamper(evidence) {
      const at = evidence.publications.findLastIndex(({ records }) => records.length > 0)
      return at < 0 ? undefined : { ...evidence, publications: evidence.publications.toSpliced(at, 1) }
    }
  },
  {
    name: 'a record has other bytes than those decided',
    checker: 'output exactly once',
    tamper(evidence) {
      const at = rowsAt(evidence)
      if (at < 0) return undefined
      return editPublication(evidence, at, ({ records }) => {
        const [first, ...rest] = records as [(typeof records)[number], ...(typeof records)[number][]]
        return { records: [{ ...first, timestamp: first.timestamp + 1 }, ...rest] }
      })
    }
  },
  {
    name: 'two rows of one key change places',
    checker: 'output in order',
    tamper(evidence) {
      for (const [at, { records, slot }] of evidence.publications.entries()) {
        if (!slot.sink.startsWith('out')) continue
        for (let i = 0; i + 1 < records.length; i++) {
          const [a, b] = [rowOf(records[i]?.value), rowOf(records[i + 1]?.value)]
          if (a.from === '' || a.from !== b.from || a.leg !== b.leg || a.key !== b.key) continue
          return editPublication(evidence, at, () => ({
            records: records.toSpliced(
              i,
              2,
              records[i + 1] as (typeof records)[number],
              records[i] as (typeof records)[number]
            )
          }))
        }
      }
      return undefined
    }
  },
  {
    name: 'an output carries the trace context of another event',
    checker: 'output traces',
    tamper: otherTrace
  },
  {
    name: 'a dead letter is missing',
    checker: 'dead letters',
    tamper(evidence) {
      const at = evidence.publications.findIndex(
        ({ slot, records }) => slot.sink === 'dead-letters' && records.length > 0
      )
      return at < 0 ? undefined : editPublication(evidence, at, ({ records }) => ({ records: records.slice(1) }))
    }
  },
  {
    name: 'a checkpoint names offsets one too far',
    checker: 'consistent cut',
    tamper(evidence) {
      const { shape, inputs } = evidence.workload
      let found: number | undefined
      const edited = editManifests(evidence, manifest => {
        const left = (source: string, partition: number, position: number): boolean =>
          position < (inputs[shape.sources.findIndex(({ name }) => name === source)]?.[partition]?.length ?? 0)
        if (manifest.sources.some(({ name, partitions }) => partitions.some(p => left(name, p.partition, p.position))))
          found ??= manifest.epoch
        if (found !== manifest.epoch) return manifest
        const further = manifest.sources.map(source => ({
          ...source,
          partitions: source.partitions.map(each => ({ ...each, position: each.position + 1 }))
        }))
        return { ...manifest, sources: further }
      })
      return found === undefined ? undefined : edited
    }
  },
  {
    name: 'a checkpoint lacks a delta',
    checker: 'consistent cut',
    tamper(evidence) {
      let found = false
      const edited = editManifests(evidence, manifest => {
        const at = manifest.stages.findIndex(({ files, name }) => files.length > 1 && name.startsWith('Actor'))
        if (manifest.epoch !== middle(evidence) || at < 0) return manifest
        found = true
        return editStage(manifest, at, ({ files }) => ({ files: files.slice(0, -1) }))
      })
      return found ? edited : undefined
    }
  },
  {
    name: 'a checkpoint loses the outbox of a task',
    checker: 'consistent cut',
    tamper(evidence) {
      let lost: string | undefined
      const edited = editManifests(evidence, manifest => {
        const outboxes = manifest.outboxes.filter(({ file }) => file.name !== (lost ??= file.name))
        return { ...manifest, outboxes }
      })
      return lost === undefined ? undefined : edited
    }
  },
  {
    name: 'what owners set in order was set in another',
    checker: 'consistent cut',
    tamper(evidence) {
      for (const stored of storedActors(evidence)) {
        const registers = stored.fields['registers'] as Map<string, number>
        const [owner, value] = [...registers][0] ?? []
        if (owner !== undefined) return editActor(evidence, stored, () => registers.set(owner, (value ?? 0) + 1))
      }
      return undefined
    }
  },
  {
    name: 'an actor loses weight in one checkpoint',
    checker: 'weights conserved',
    tamper(evidence) {
      for (const stored of storedActors(evidence))
        return editActor(evidence, stored, fields => (fields['kept'] = (fields['kept'] as number) - 1))
      return undefined
    }
  },
  {
    name: 'an actor says in the last checkpoint that it handled one event more',
    checker: 'final state',
    tamper(evidence) {
      const last = [...storedActors(evidence)].at(-1)
      return last && editActor(evidence, last, fields => (fields['count'] = (fields['count'] as number) + 1))
    }
  },
  {
    name: 'a manifest names another predecessor',
    checker: 'manifest chain',
    tamper: evidence =>
      editManifests(evidence, manifest =>
        manifest.previous === null || manifest.epoch !== lastEpoch(evidence)
          ? manifest
          : { ...manifest, previous: { ...manifest.previous, epoch: manifest.previous.epoch - 1 } }
      )
  },
  {
    name: 'a decided file is damaged',
    checker: 'readable checkpoints',
    tamper(evidence) {
      for (const { file } of storedActors(evidence))
        return {
          ...evidence,
          readObject: name => {
            const bytes = evidence.readObject(name)
            return name === file ? bytes?.subarray(0, bytes.length - 1) : bytes
          }
        }
      return undefined
    }
  },
  {
    name: 'timers are not stored with their actor',
    checker: 'timers once',
    tamper(evidence) {
      for (const stored of storedActors(evidence))
        if ((stored.fields['pending'] as Map<string, Pending>).size > 0)
          return editActor(evidence, stored, () => undefined, false)
      return undefined
    }
  },
  {
    name: 'an actor saw a timer twice',
    checker: 'timers once',
    tamper(evidence) {
      for (const stored of storedActors(evidence))
        return editActor(evidence, stored, fields => (fields['violation'] = 'timer t1 fired though it was not armed'))
      return undefined
    }
  },
  {
    name: 'an alarm rang and its row is missing',
    checker: 'timers once',
    tamper(evidence) {
      const at = evidence.publications.findIndex(({ slot, records }) => slot.sink === 'alarms' && records.length > 0)
      return at < 0 ? undefined : editPublication(evidence, at, ({ records }) => ({ records: records.slice(1) }))
    }
  },
  {
    name: 'a window is open behind the watermark',
    checker: 'windows complete',
    tamper(evidence) {
      const names = evidence.workload.shape.stages.flatMap(stage => (stage.kind === 'window' ? [stage.name] : []))
      let found = false
      const edited = editManifests(evidence, manifest => {
        const at = manifest.stages.findIndex(({ name, finished }) => names.includes(name) && !finished)
        if (at < 0 || manifest.epoch === 0) return manifest
        found = true
        return editStage(manifest, at, ({ watermarks }) => ({ watermarks: watermarks.map(() => 9e9) }))
      })
      return found ? edited : undefined
    }
  },
  {
    name: 'a window fires twice',
    checker: 'windows complete',
    tamper(evidence) {
      for (const [at, { records, slot }] of evidence.publications.entries())
        for (const record of slot.sink.startsWith('out') ? records : [])
          if (rowOf(record.value).agg !== undefined)
            return editPublication(evidence, at, () => ({ records: [...records, record] }))
      return undefined
    }
  },
  {
    name: 'an event counts as late',
    checker: 'windows complete',
    tamper(evidence) {
      const [at] = [rowsAt(evidence)]
      const { lateSink } = evidence.workload.shape
      if (at < 0 || lateSink === undefined) return undefined
      return editPublication(evidence, at, ({ slot }) => ({ slot: { ...slot, sink: lateSink } }))
    }
  },
  ...lateTampering,
  {
    name: 'a watermark is not restored',
    checker: 'progress',
    tamper(evidence) {
      let reached = false
      let lost: number | undefined
      const edited = editManifests(evidence, manifest => {
        const open = ({ finished }: Manifest['stages'][number]): boolean => !finished
        if (reached && manifest.stages.every(open)) lost ??= manifest.epoch
        reached ||= manifest.stages.every(stage => open(stage) && stage.watermarks.some(time => time !== null))
        if (manifest.epoch !== lost) return manifest
        const stages = manifest.stages.map(stage => ({ ...stage, watermarks: stage.watermarks.map(() => null) }))
        return { ...manifest, stages }
      })
      return lost === undefined ? undefined : edited
    }
  },
  {
    name: 'a decision is missing',
    checker: 'decision history',
    tamper: evidence => ({ ...evidence, decisions: evidence.decisions.toSpliced(1, 1) })
  },
  {
    name: 'an old generation completes a checkpoint',
    checker: 'decision history',
    tamper(evidence) {
      const at = evidence.decisions.findLastIndex(({ decision }) => decision.kind === 'begins')
      const completed = evidence.decisions.find(({ decision }, i) => i < at && decision.kind === 'completed')
      if (completed === undefined || completed.decision.kind !== 'completed') return undefined
      const epoch = lastEpoch(evidence) + 1
      const late = { ...completed, sequence: evidence.decisions.length, decision: { ...completed.decision, epoch } }
      return { ...evidence, decisions: [...evidence.decisions, late] }
    }
  },
  {
    name: 'an epoch is decided twice',
    checker: 'decision history',
    tamper(evidence) {
      const last = evidence.decisions.findLast(({ decision }) => decision.kind === 'completed')
      if (last === undefined) return undefined
      return { ...evidence, decisions: [...evidence.decisions, { ...last, sequence: evidence.decisions.length }] }
    }
  },
  {
    name: 'a generation begins from an older checkpoint',
    checker: 'decision history',
    tamper(evidence) {
      const at = evidence.decisions.findLastIndex(
        ({ decision }) => decision.kind === 'begins' && decision.parent !== null
      )
      const begins = evidence.decisions[at]
      if (begins?.decision.kind !== 'begins') return undefined
      const decision = { ...begins.decision, parent: { epoch: -1, hash: '' } }
      return { ...evidence, decisions: replaceAt(evidence.decisions, at, { ...begins, decision }) }
    }
  },
  {
    name: 'an epoch is published before it is decided',
    checker: 'ledger order',
    tamper(evidence) {
      const at = evidence.publications.findIndex(({ entry }) => entry.epoch > 0)
      return at < 0 ? undefined : editPublication(evidence, at, () => ({ atMs: 0 }))
    }
  },
  {
    name: 'an epoch that was never decided is published',
    checker: 'ledger order',
    tamper(evidence) {
      const at = evidence.publications.findLastIndex(({ entry }) => entry.epoch > 0)
      return at < 0
        ? undefined
        : editPublication(evidence, at, ({ entry }) => ({ entry: { ...entry, epoch: lastEpoch(evidence) + 1 } }))
    }
  },
  {
    name: 'a manifest takes for published what is not',
    checker: 'ledger order',
    tamper: evidence =>
      editManifests(evidence, manifest => ({
        ...manifest,
        ledgers: manifest.ledgers.map(ledger => ({ ...ledger, chunk: ledger.chunk + 1 }))
      }))
  },
  {
    name: 'a fenced generation publishes',
    checker: 'fenced is silent',
    tamper(evidence) {
      const at = evidence.publications.findIndex(({ entry }) => entry.epoch > 0 && entry.generation > 1)
      return at < 0
        ? undefined
        : editPublication(evidence, at, ({ entry }) => ({ entry: { ...entry, generation: entry.generation - 1 } }))
    }
  },
  {
    name: 'a file is deleted that the newest checkpoint needs',
    checker: 'file lifetimes',
    tamper(evidence) {
      const name = [...storedActors(evidence)].at(-1)?.file
      if (name === undefined) return undefined
      const removed = { atMs: 1e9, who: 'eager', operation: 'remove', name, outcome: 'removed' } as const
      return { ...evidence, storageHistory: [...evidence.storageHistory, removed] }
    }
  },
  {
    name: 'a file is deleted that a later checkpoint names',
    checker: 'file lifetimes',
    tamper(evidence) {
      const last = [...storedActors(evidence)].at(-1)?.file
      const at = evidence.storageHistory.findIndex(({ name, outcome }) => name === last && outcome === 'created')
      if (last === undefined || at < 0) return undefined
      const removed = { atMs: 0, who: 'eager', operation: 'remove', name: last, outcome: 'removed' } as const
      return { ...evidence, storageHistory: evidence.storageHistory.toSpliced(at + 1, 0, removed) }
    }
  },
  {
    name: 'a file is stored after the decision that needs it',
    checker: 'file lifetimes',
    tamper(evidence) {
      const first = [...storedActors(evidence)][0]?.file
      const at = evidence.storageHistory.findIndex(({ name, outcome }) => name === first && outcome === 'created')
      const event = evidence.storageHistory[at]
      if (event === undefined) return undefined
      return { ...evidence, storageHistory: [...evidence.storageHistory.toSpliced(at, 1), event] }
    }
  },
  {
    name: 'a file that nothing needs stays',
    checker: 'file lifetimes',
    tamper(evidence) {
      if (evidence.decisions.filter(({ decision }) => decision.kind === 'begins').length < 2) return undefined
      const name = 'deltas/000000000000-stray-0-n'
      const created = { atMs: 0, who: 'g1', operation: 'create', name, outcome: 'created' } as const
      return {
        ...evidence,
        storedAtEnd: [...evidence.storedAtEnd, name],
        storageHistory: [created, ...evidence.storageHistory]
      }
    }
  },
  ...(
    [
      ['a position is told that was never decided', position => [{ position: position + 1 }]],
      ['a position is told before it was decided', position => [{ position, atMs: -1 }]],
      ['a position is told with the output of an older checkpoint', position => [{ position, along: -1 }]],
      ['what is told goes back', position => [{ position }, { position: 0 }, { position }]],
      ['what is told last is not where the job has ended', () => []]
    ] as const satisfies readonly (readonly [
      string,
      (position: number) => readonly { readonly position: number; readonly atMs?: number; readonly along?: number }[]
    ])[]
  ).map(([name, told]): Planted => ({
    name,
    checker: 'told positions',
    tamper: evidence => {
      const completed = evidence.decisions.flatMap(({ decision }) => (decision.kind === 'completed' ? [decision] : []))
      const last = completed.at(-1)
      const bytes = last === undefined ? undefined : evidence.readObject(last.manifest.name)
      if (bytes === undefined || !evidence.finished) return undefined
      const { sources } = JSON.parse(new TextDecoder().decode(bytes)) as Manifest
      // Everything else is as it should be.
      let changes: ReturnType<typeof told> | undefined
      return {
        ...evidence,
        told: sources.flatMap(({ name: source, partitions }) =>
          partitions.flatMap(({ partition, position }) => {
            const right = [{ position }]
            const list = changes === undefined && position > 0 ? (changes = told(position)) : right
            return list.map(each => ({ source, partition, atMs: Infinity, ...each }))
          })
        )
      }
    }
  })),
  {
    name: 'a queue is longer than its limit',
    checker: 'within limits',
    tamper: evidence => ({ ...evidence, limits: [{ name: 'mailbox', limit: 10, greatest: 11 }] })
  },
  {
    name: 'a run stands still',
    checker: 'liveness',
    tamper: evidence => ({
      ...evidence,
      finished: false,
      waitingFor: ['checkpoint 3: task Actor0/1 has not acknowledged']
    })
  }
]

void t.test('every checker has something planted for it', async t => {
  t.strictSame([...new Set(planted.map(({ checker }) => checker))].sort(), [...checkerNames].sort())
})

for (const { name, checker, tamper } of planted)
  void t.test(`${name}: "${checker}" notices`, async t => {
    let applied = 0
    let noticed = 0
    for (const evidence of runs) {
      // With messages under way only the next checkpoint without tells.
      if (checker === 'consistent cut' && sendsInLoops(evidence.workload.shape).size > 0) continue
      const tampered = tamper(evidence)
      if (tampered === undefined) continue
      applied++
      const found = checkEvidence(tampered).filter(finding => finding.checker === checker)
      if (found.length > 0) noticed++
      if (found[0] !== undefined && applied === 1) t.comment(found[0].violation)
      if (applied === 3) break
    }
    t.ok(applied > 0, 'some run has it')
    t.equal(noticed, applied)
  })
