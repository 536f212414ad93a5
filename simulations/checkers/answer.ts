/** The model of a workload's whole input, computed once for all checkers. Not to be changed. */
import type { Workload } from '../workload/index.ts'
import type { Model } from '../workload/model.ts'

const answers = new WeakMap<Workload, Model>()

export function answerOf(workload: Workload): Model {
  let answer = answers.get(workload)
  if (answer === undefined) answers.set(workload, (answer = workload.model().finish()))
  return answer
}
