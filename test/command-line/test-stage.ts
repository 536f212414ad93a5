/** Which test runs, and its how many-th `drive` this is: the name of a job that is a closure in a test file. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Job } from '../../actors/stream.ts'
import type { DriveOptions } from '../../simulations/driver/index.ts'

export interface Wanted {
  /** URL of the compiled test file. */
  readonly file: string
  readonly test: string
  readonly drive: number
}
/** Set in the process that runs the job: the test file is executed up to this `drive`. */
export const wanted = ((text: string | undefined): Wanted | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as Wanted))(process.env['DRIVE_WANTED'])

export const currentTest = new AsyncLocalStorage<{ readonly name: string; drives: number }>()

interface Found {
  readonly job: Job<unknown>
  readonly options: DriveOptions
}
let found: (found: Found) => void
export const reached = new Promise<Found>(resolve => (found = resolve))
export const hand = (one: Found): void => found(one)
