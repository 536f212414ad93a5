/** `npm run bench`: prepares the project, then measures. Arguments go to the benchmark: `npm run bench -- --help`. */
import { prepare } from './prepare.mjs'

prepare()
await import('../../dist/bench/index.js')
