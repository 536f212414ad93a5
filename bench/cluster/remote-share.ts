/**
 * Accounts with which half of the events go to another worker, however many workers there are: every second event of a partition is for an
 * account of its own class, the others for one of the classes beside it. In a new job slot s is with worker s mod n, and partition p with slot p.
 */
import { DirectoryLineages } from '../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { encodeKey, keyGroupOf } from '../../runtime/kernel/keys.ts'

/** As the job has them. */
const keyGroups = 1920
const slots = 24
const partitions = 8
const classes = 4

const slotOf = (account: number): number => keyGroupOf(encodeKey(`a${account}`), keyGroups) % slots

/** Numbers of accounts by class. */
export function accountsByClass(count: number): number[][] {
  const all: number[][] = Array.from({ length: classes }, () => [])
  for (let account = 0; account < count; account++) all[slotOf(account) % classes]?.push(account)
  return all
}

/**
 * Share of the events that went to another worker in the newest generation, by its assignment.
 * @param folder the job's own in the storage
 */
export async function remoteShare(folder: string, byClass: readonly (readonly number[])[]): Promise<number> {
  const lineage = new DirectoryLineages(nodeFiles, folder).storage(1)
  const { begun } = await DecisionLog.open(lineage, () => 'bench')
  if (begun === undefined) throw new Error(`no generation has begun in ${folder}`)
  const { tasks, slots: taskOf } = begun.assignment
  const workerOf = (slot: number): string | undefined => tasks[taskOf[slot] ?? -1]
  let [events, remote] = [0, 0]
  for (let partition = 0; partition < partitions; partition++)
    for (const [away, weight] of [
      [0, 2],
      [1, 1],
      [3, 1]
    ] as const)
      // prettier-ignore
      for (const account of byClass[(partition + away) % classes] ?? []) {
        events += weight
        if (workerOf(slotOf(account)) !== workerOf(partition)) remote += weight
      }
  return remote / events
}
