/** `npm run peers:kafka-streams`: prepares the project, then compares Cairn with Kafka Streams. `npm run peers:kafka-streams -- --help`. */
import { prepare } from './prepare.mjs'

prepare()
await import('../../dist/test/peers/main.js')
