/** `npm run chaos`: prepares the project, then attacks a cluster of real processes. `npm run chaos -- --help`. */
import { prepare } from './prepare.mjs'

prepare()
await import('../../dist/simulations/chaos/main.js')
