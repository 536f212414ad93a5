/** What can be wrong with the inputs and outputs that a plan names, before anything is opened. */
import { matchesWhole } from '../runtime/kernel/whole-name.ts'
import type { SinkSpec, SourceSpec, ValueCodec } from './connectors.ts'
import type { Plan } from './plan.ts'

const topicRule = /^[A-Za-z][A-Za-z0-9_-]{0,254}$/
const kafkaTopicRule = /^[A-Za-z0-9._-]{1,249}$/
/** The embedded log's limit: every partition is a record that is read when it is opened. */
const partitionLimit = 1024
/** The name under which a job's dead letters have their slots. */
const deadLetters = 'dead-letters'

export function checkInputsAndOutputs(plan: Plan, problems: string[]): void {
  const sizes = new Map<string, { readonly partitions: number; readonly what: string }>()
  const checkSink = (what: string, sink: SinkSpec): void => {
    checkCodec(what, sink.codec, problems)
    if ('key' in sink && sink.key !== undefined && typeof sink.key !== 'function')
      problems.push(`${what}: key is ${JSON.stringify(sink.key)}; it is a function of the value`)
    if (sink.connector === 'files' && sink.folder === '') problems.push(`${what}: its folder has no name`)
    if (sink.connector === 'kafka') {
      checkKafka(what, sink, problems)
      if (!([undefined, 'gzip'] as unknown[]).includes(sink.compression))
        problems.push(`${what}: compression is ${JSON.stringify(sink.compression)}; it is 'gzip', or left out`)
    }
    if (sink.connector !== 'log') return
    checkTopic(what, sink.topic, problems)
    const { partitions, topic } = sink
    if (partitions === undefined) return
    if (!Number.isSafeInteger(partitions) || partitions < 1 || partitions > partitionLimit)
      problems.push(`${what}: partitions is ${partitions}; it must be a whole number from 1 to ${partitionLimit}`)
    const other = sizes.get(topic)
    if (other !== undefined && other.partitions !== partitions)
      problems.push(
        `${what}: topic "${topic}" with ${partitions} partitions, but ${other.what} gives it ${other.partitions}`
      )
    sizes.set(topic, { partitions, what })
  }
  for (const node of plan.nodes) {
    if (node.kind === 'source') checkSource(`source "${node.name}"`, node.source, problems)
    if (node.kind !== 'sink') continue
    checkSink(`sink "${node.name}"`, node.sink)
    if (node.name.toLowerCase() === deadLetters)
      problems.push(`sink "${node.name}" has the name of the job's own dead letters; give it another name`)
  }
  checkSink('deadLetters', plan.deadLetters)
  checkCircles(plan, problems)
}

/** A pattern that finds what the job writes would read it for ever. */
function checkCircles({ nodes, deadLetters }: Plan, problems: string[]): void {
  const sinks = nodes.flatMap(node => (node.kind === 'sink' ? [[`sink "${node.name}"`, node.sink] as const] : []))
  for (const node of nodes) {
    if (node.kind !== 'source' || node.source.connector !== 'kafka') continue
    const { topic, brokers } = node.source
    if (!(topic instanceof RegExp)) continue
    for (const [what, sink] of [...sinks, ['deadLetters', deadLetters] as const])
      if (sink.connector === 'kafka' && sink.brokers === brokers && matchesWhole(topic, sink.topic))
        problems.push(`source "${node.name}": ${String(topic)} matches "${sink.topic}", which ${what} writes`)
  }
}

/** Types say it, but job files need not be checked by a compiler. */
function checkCodec(what: string, codec: Partial<ValueCodec> | undefined, problems: string[]): void {
  if (typeof codec?.decode !== 'function' || typeof codec.encode !== 'function')
    problems.push(`${what}: it does not say how its values are written; give it a codec, such as json()`)
}

function checkSource(what: string, source: SourceSpec, problems: string[]): void {
  if ('codec' in source) checkCodec(what, source.codec, problems)
  switch (source.connector) {
    case 'lines':
    case 'csv': {
      if (source.paths.length === 0) problems.push(`${what}: it names no file`)
      const twice = source.paths.find((path, i) => source.paths.indexOf(path) !== i)
      if (twice !== undefined) problems.push(`${what}: it names "${twice}" twice`)
      return
    }
    case 'log':
      checkTopic(what, source.topic, problems)
      if (!['earliest', 'latest'].includes(source.from))
        problems.push(`${what}: from is ${JSON.stringify(source.from)}; it is 'earliest' or 'latest'`)
      return
    case 'generator':
      for (const [name, value, least] of [
        ['count', source.count, 0],
        ['partitions', source.partitions, 1]
      ] as const)
        if (!Number.isSafeInteger(value) || value < least)
          problems.push(`${what}: ${name} is ${value}; it must be a whole number from ${least}`)
      if (source.perSecond !== undefined && !(source.perSecond > 0))
        problems.push(`${what}: perSecond is ${source.perSecond}; it must be a number above 0`)
      return
    case 'kafka': {
      checkKafka(what, source, problems)
      const { begin, from, onMissing } = source
      if (!['fail', 'earliest', 'latest'].includes(onMissing))
        problems.push(`${what}: onMissing is ${JSON.stringify(onMissing)}; it is 'fail', 'earliest' or 'latest'`)
      if (!['earliest', 'latest'].includes(from))
        problems.push(
          `${what}: from is ${JSON.stringify(from)}; it is 'earliest', 'latest', a date or a list of offsets`
        )
      if (typeof source.topic !== 'string') checkPattern(what, source.topic, begin, problems)
      const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0
      if (begin !== undefined && !(typeof begin === 'number' ? isCount(begin) : begin.every(isCount)))
        problems.push(
          `${what}: from is ${typeof begin === 'number' ? 'no date' : `[${begin.join(', ')}], not offsets`}`
        )
      return
    }
  }
}

function checkKafka(
  what: string,
  { topic, brokers }: { readonly topic: string | RegExp; readonly brokers: string | undefined },
  problems: string[]
): void {
  if (typeof topic === 'string' && (!kafkaTopicRule.test(topic) || topic === '.' || topic === '..'))
    problems.push(`${what}: Kafka has no topic ${JSON.stringify(topic)}; its names match ${kafkaTopicRule.source}`)
  if (brokers?.trim() === '') problems.push(`${what}: brokers names none`)
}

function checkPattern(what: string, topic: RegExp, begin: unknown, problems: string[]): void {
  if (!(topic instanceof RegExp))
    problems.push(`${what}: topic is ${JSON.stringify(topic)}; it is a name or a regular expression`)
  if (typeof begin === 'object')
    problems.push(`${what}: from is a list of offsets, and ${String(topic)} may be several topics`)
}

function checkTopic(what: string, topic: string, problems: string[]): void {
  if (!topicRule.test(topic)) problems.push(`${what}: topic ${JSON.stringify(topic)} must match ${topicRule.source}`)
}
