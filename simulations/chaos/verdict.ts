/** Reads what a run left on disk, and compares it with the model. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DirectoryLineages } from '../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { StoredJob } from '../../deploy/stored-job.ts'
import { checkAccounts, checkLedgers, checkStates, type Line } from './check.ts'
import type { Expected } from './model.ts'

/** In the order of output: the names of the files say it. */
function* linesIn(folder: string): Generator<Line> {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return
  }
  for (const name of names.filter(name => name.endsWith('.ndjson') && !name.startsWith('.')).sort())
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n'))
      if (line !== '') yield JSON.parse(line) as Line
}

function* counted(lines: Iterable<Line>, count: { lines: number }): Generator<Line> {
  for (const line of lines) {
    count.lines++
    yield line
  }
}

export interface Verdict {
  /** One sentence each; []: output and state are the model's. */
  readonly findings: readonly string[]
  readonly lines: number
  readonly keys: number
}

export async function judge(folder: string, storage: string, expected: Expected): Promise<Verdict> {
  const count = { lines: 0 }
  const findings = [
    ...checkAccounts(counted(linesIn(join(folder, 'out', 'accounts')), count), expected),
    ...checkLedgers(counted(linesIn(join(folder, 'out', 'ledgers')), count), expected)
  ]
  const stored = new StoredJob('chaos', new DirectoryLineages(nodeFiles, join(storage, 'chaos')))
  const stateOf = async (actor: string, key: string): Promise<Readonly<Record<string, unknown>> | undefined> =>
    (await stored.state(actor, key)).fields
  try {
    findings.push(...(await checkStates(stateOf, expected)))
  } catch (error) {
    findings.push(`state: it cannot be read: ${String(error)}`)
  }
  const keys = Object.values(expected.states).reduce((sum, each) => sum + each.size, 0)
  return { findings, lines: count.lines, keys }
}
