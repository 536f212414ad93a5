/**
 * A process that has an embedded log open and is killed: `node embedded-log-child.js <folder> <what>`. It prints one line per fact
 * that it was told is durable.
 */
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import { isCodedError } from '../../../runtime/kernel/errors.ts'
import type { OutputRecord } from '../../../runtime/ports/log.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const record = (partition: number, text: string): OutputRecord => ({
  partition,
  timestamp: 0,
  key: undefined,
  value: new TextEncoder().encode(text)
})

async function publishForEver(log: EmbeddedLog, slot: number): Promise<never> {
  const publisher = log.publisher('out', { partitions: 2 })
  const producer = await publisher.initialise({ job: 'j', lineage: 1, sink: 's', stage: 't', slot })
  const first = ((await producer.readLedger())?.epoch ?? 0) + 1
  for (let epoch = first; ; epoch++) {
    const records = Array.from({ length: 1 + (epoch % 40) }, (_, i) => record(i % 2, `${slot} ${epoch} ${i}`))
    const entry = { epoch, chunk: 0, last: true, generation: 1, manifestHash: '', owner: '' }
    const outcome = await producer.publish(records, entry)
    if (outcome.kind === 'unknown') throw outcome.error
    if (outcome.kind !== 'published') throw new Error(outcome.kind)
    say(`published ${slot} ${epoch}`)
  }
}

const [folder = '', what] = process.argv.slice(2)
try {
  const log = await EmbeddedLog.open(folder, nodeClock)
  if (what === 'publish') await Promise.all([0, 1, 2].map(slot => publishForEver(log, slot)))
  if (what === 'leave-open') {
    await log.createTopic('out', 2)
    const producer = await log.producer('left')
    producer.begin()
    producer.append('out', 0, [record(0, 'never seen')])
    await producer.flush()
    await log.append('out', 0, [record(0, 'behind it')])
    say('open')
    await new Promise(() => setInterval(() => undefined, 1000))
  }
} catch (error) {
  say(isCodedError(error) ? error.code : String(error))
}
