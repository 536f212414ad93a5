/** `npm run bench`, `npm run bench:cluster`: prepares the project, then measures. Arguments go to the benchmark: `npm run bench -- --help`. */
import { prepare } from './prepare.mjs'

prepare()
const cluster = process.argv.indexOf('--cluster')
if (cluster > 0) process.argv.splice(cluster, 1)
await import(cluster > 0 ? '../../dist/bench/cluster/main.js' : '../../dist/bench/index.js')
