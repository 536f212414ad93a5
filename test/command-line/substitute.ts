/** In place of `simulations/driver`: in a test, a process of the built command line; in that process, the way to the job. */
import type { Job } from '../../actors/stream.ts'
import type { Driven, Driver, DriveOptions } from '../../simulations/driver/index.ts'
import { ProcessDriver } from './process-driver.ts'
import { currentTest, hand, wanted } from './test-stage.ts'

type Drive = <H>(job: Job<H>, options?: DriveOptions) => Promise<Driver & Driven<H>>

export async function drive<H>(job: Job<H>, options: DriveOptions = {}): Promise<Driver & Driven<H>> {
  const test = currentTest.getStore()
  if (test === undefined) throw new Error(`job "${job.name}" is driven outside a test`)
  const drive = test.drives++
  if (wanted === undefined)
    return new ProcessDriver(job, { file: process.env['DRIVE_FILE'] ?? '', test: test.name, drive }).driven<H>()
  if (wanted.drive === drive) {
    hand({ job, options })
    return new Promise(() => undefined)
  }
  // An earlier one of the test: answered in this process, in virtual time, as the test expects.
  const real = new URL('../../simulations/driver/index.js?real', import.meta.url).href
  return ((await import(real)) as { drive: Drive }).drive(job, options)
}
export { invariant, simulationOf, standIn } from '../../simulations/user/simulation-of.ts'
