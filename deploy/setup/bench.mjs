/**
 * `npm run bench`, `npm run bench:checkpoints`, `npm run bench:cluster`, `npm run bench:kafka`, `npm run bench:nexmark`: prepares the project, then measures. Arguments go
 * to the benchmark: `npm run bench -- --help`.
 */
import { prepare } from './prepare.mjs'

prepare()
const [room] = ['checkpoints', 'cluster', 'kafka', 'nexmark'].filter(each => process.argv[2] === `--${each}`)
if (room !== undefined) process.argv.splice(2, 1)
await import(room === undefined ? '../../dist/bench/index.js' : `../../dist/bench/${room}/main.js`)
