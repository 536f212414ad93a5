/** The job of a `drive`, found by running its test up to there, with topics in place of its sources, sinks and streams. */
import { register } from 'node:module'
import type { SinkSpec, ValueCodec } from '../../actors/connectors.ts'
import type { Plan, PlanNode } from '../../actors/plan.ts'
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import type { Job } from '../../actors/stream.ts'
import { ByteReader, ByteWriter } from '../../runtime/kernel/bytes.ts'
import { reached, wanted } from './test-stage.ts'

/** Every durable value survives it; base64, for the control socket takes text. */
export const valueCodec: ValueCodec = {
  name: 'value',
  decode: bytes => decodeValue(new ByteReader(Buffer.from(Buffer.from(bytes).toString(), 'base64'))),
  encode(value) {
    const writer = new ByteWriter()
    encodeValue(value, writer, 'value')
    return Buffer.from(Buffer.from(writer.take()).toString('base64'))
  }
}
export const inputTopic = (source: string): string => `in-${source}`
export const outputTopic = (sink: string): string => `out-${sink}`
export const lettersTopic = 'letters'

const topicOf = (topic: string, codec: ValueCodec): SinkSpec => ({
  connector: 'log',
  topic,
  partitions: undefined,
  codec,
  key: undefined
})

/** `ended`: sources that end where their topics end. `drop`: the planted bug, an output that loses its values. */
export function onTopics(plan: Plan, ended: readonly string[], drop: boolean): Plan {
  const nodes = plan.nodes.map((node): PlanNode => {
    if (node.kind === 'source') {
      const bounded = ended.includes(node.name)
      const topic = inputTopic(node.name)
      return { ...node, source: { connector: 'log', topic, from: 'earliest', bounded, codec: valueCodec } }
    }
    return node.kind === 'sink' ? { ...node, sink: topicOf(outputTopic(node.name), node.sink.codec) } : node
  })
  for (const { kind, name, port } of Object.values(plan.handles))
    if (kind === 'stream') {
      const sink = topicOf(outputTopic(name), valueCodec)
      nodes.push({ kind: 'sink', id: nodes.length, name, input: port, sink, delivery: 'exactly-once' })
    }
  if (drop)
    for (const [i, node] of nodes.entries())
      if (node.kind === 'sink') {
        const id = nodes.length
        nodes.push({ kind: 'filter', id, input: node.input, f: () => false })
        nodes[i] = { ...node, input: { node: id, output: 'main' } }
      }
  return { ...plan, nodes, deadLetters: topicOf(lettersTopic, plan.deadLetters.codec) }
}

/** What the job file that `cairn run` is given exports. */
export async function foundJob(): Promise<Job<unknown>> {
  if (wanted === undefined) throw new Error('no job is wanted')
  register('./resolve-hook.js', import.meta.url)
  await import(wanted.file)
  const { job, options } = await reached
  const plan = { ...job.plan, ...options, intervalMs: 3_600_000 }
  const ended = JSON.parse(process.env['DRIVE_ENDED'] ?? '[]') as string[]
  return { ...job, plan: onTopics(plan, ended, process.env['DRIVE_DROP'] === '1') }
}
