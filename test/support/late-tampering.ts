/** What goes wrong where events are late, or actors are forgotten, planted into what a run left behind. */
import type { Manifest } from '../../checkpoint/manifest.ts'
import type { Evidence } from '../../simulations/checkers/evidence.ts'
import type { CheckerName } from '../../simulations/checkers/index.ts'
import { editManifests, editPublication, replaceAt } from './tampering.ts'

export interface Planted {
  readonly name: string
  readonly checker: CheckerName
  /** undefined: this run has nothing of the kind. */
  readonly tamper: (evidence: Evidence) => Evidence | undefined
}

export const editStage = (
  manifest: Manifest,
  at: number,
  change: (stage: Manifest['stages'][number]) => object
): Manifest => ({
  ...manifest,
  stages: replaceAt(manifest.stages, at, {
    ...(manifest.stages[at] as Manifest['stages'][number]),
    ...change(manifest.stages[at] as Manifest['stages'][number])
  })
})

export const lateTampering: readonly Planted[] = [
  {
    name: 'a window of strays fires twice',
    checker: 'strays stay late',
    tamper(evidence) {
      const at = evidence.publications.findIndex(({ slot, records }) => slot.sink === 'strayed' && records.length > 0)
      return at < 0
        ? undefined
        : editPublication(evidence, at, ({ records }) => ({
            records: [...records, records[0] as (typeof records)[number]]
          }))
    }
  },
  {
    name: 'a late event vanishes',
    checker: 'strays stay late',
    tamper(evidence) {
      const at = evidence.publications.findIndex(
        ({ slot, records }) => slot.sink === 'stray-late' && records.length > 0
      )
      return at < 0 ? undefined : editPublication(evidence, at, ({ records }) => ({ records: records.slice(1) }))
    }
  },
  {
    name: 'an event counts though it was late for a checkpoint before it',
    checker: 'strays stay late',
    tamper(evidence) {
      if (!evidence.publications.some(({ slot, records }) => slot.sink === 'strayed' && records.length > 0))
        return undefined
      return editManifests(evidence, manifest => ({
        ...manifest,
        stages: manifest.stages.map(stage => ({ ...stage, watermarks: stage.watermarks.map(() => 9e9) }))
      }))
    }
  },
  {
    name: 'an event is told late that no watermark can have left behind',
    checker: 'strays stay late',
    tamper(evidence) {
      const { strays } = evidence.workload.shape
      const [first] = evidence.workload.inputs[strays?.source ?? -1] ?? []
      if (strays === undefined || first?.[0]?.record === undefined) return undefined
      for (const [at, { records, slot }] of evidence.publications.entries())
        for (const [i, record] of slot.sink === strays.sink ? records.entries() : []) {
          const { ids } = JSON.parse(new TextDecoder().decode(record.value)) as { readonly ids: readonly string[] }
          if (ids.join() !== '0/0') continue
          const late = { ...record, value: new TextEncoder().encode(JSON.stringify({ id: '0/0' })) }
          const rest = editPublication(evidence, at, () => ({ records: records.toSpliced(i, 1) }))
          const told = { ...(evidence.publications[at] as Evidence['publications'][number]), records: [late] }
          return {
            ...rest,
            publications: [...rest.publications, { ...told, slot: { ...slot, sink: strays.lateSink } }]
          }
        }
      return undefined
    }
  },
  {
    name: 'an actor with a time to live is told with what it had before',
    checker: 'forgotten in time',
    tamper(evidence) {
      const at = evidence.publications.findIndex(({ slot, records }) => slot.sink === 'fled' && records.length > 0)
      if (at < 0) return undefined
      return editPublication(evidence, at, ({ records }) => {
        const [first, ...rest] = records as [(typeof records)[number], ...(typeof records)[number][]]
        const row = JSON.parse(new TextDecoder().decode(first.value)) as { readonly count: number }
        return {
          records: [
            { ...first, value: new TextEncoder().encode(JSON.stringify({ ...row, count: row.count + 1 })) },
            ...rest
          ]
        }
      })
    }
  },
  {
    name: 'an actor is not forgotten though its time is over',
    checker: 'forgotten in time',
    tamper: evidence =>
      editManifests(evidence, manifest => {
        const at = manifest.stages.findIndex(({ name }) => name === 'Fleeting')
        if (manifest.stages[at]?.finished !== false) return manifest
        return editStage(manifest, at, ({ watermarks }) => ({ watermarks: watermarks.map(() => 9e9) }))
      })
  }
]
