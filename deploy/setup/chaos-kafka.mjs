/** `npm run chaos:kafka`: prepares the project, then attacks workers and brokers of real processes. `npm run chaos:kafka -- --help`. */
import { prepare } from './prepare.mjs'

prepare()
await import('../../dist/simulations/chaos/kafka/main.js')
