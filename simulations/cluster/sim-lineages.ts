/** Where the lineages of a simulated job are stored: the first at the root, as nearly all runs have no other. */
import { firstLineage, type Lineages } from '../../checkpoint/lineages.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'

const folder = 'lineages'

export const prefixOf = (lineage: number): string => (lineage === firstLineage ? '' : `${folder}/${lineage}/`)

/** Name of an object within a lineage; undefined: it is of another one. */
export function nameIn(lineage: number, name: string): string | undefined {
  const prefix = prefixOf(lineage)
  if (!name.startsWith(prefix) || (lineage === firstLineage && name.startsWith(`${folder}/`))) return undefined
  return name.slice(prefix.length)
}

/** Undefined: of the first. */
export function lineageOfName(name: string): number | undefined {
  const [, lineage] = /^lineages\/(\d+)\//.exec(name) ?? []
  return lineage === undefined ? undefined : Number(lineage)
}

export function lineagesIn(storage: CheckpointStorage): Lineages {
  return {
    list: async () => [firstLineage, ...(await storage.list(folder)).map(Number)].sort((a, b) => a - b),
    storage: lineage => (lineage === firstLineage ? storage : below(prefixOf(lineage), storage))
  }
}

function below(prefix: string, storage: CheckpointStorage): CheckpointStorage {
  return {
    create: (name, bytes) => storage.create(prefix + name, bytes),
    read: name => storage.read(prefix + name),
    readRange: (name, offset, length) => storage.readRange(prefix + name, offset, length),
    list: name => storage.list(prefix + name),
    remove: name => storage.remove(prefix + name)
  }
}
