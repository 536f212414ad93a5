/** What a part of a CPU profile belongs to, told by files and functions of the engine. */

/** The first that matches `path function` of a frame wins. What is outside of them goes to whoever called it. */
const stages: readonly (readonly [string, RegExp])[] = [
  ['decode', /actors\/codecs\.js decode$|actors\/json-(fields|scanner)\.js|nexmark\/events\.js/],
  ['source', /core\/(source-task|watermarks)\.js/],
  ['copy, channel', /actors\/copy-value\.js|core\/channel\.js|task-outputs\.js (route|send)$|keys\.js checkKey$/],
  [
    'encode results',
    /codecs\.js (jsonText|encode)$|outbox-file\.js (?!decodeChunk)|task-outputs\.js (write|writeText|encode)$/
  ],
  ['publish', /outbox-file\.js decodeChunk$|core\/slot-machine\.js|worker-shell\.js chunk$/],
  ['handlers', /nexmark\/queries\//],
  ['windows', /actors\/(window-.*|aggregates)\.js/],
  ['durable maps', /actors\/durable-map\.js|core\/map-state\.js/],
  ['timers', /core\/(timer-queue|timer-index|stored-timers|held-timers)\.js|task-state\.js (arm|cancel|popDue)$/],
  ['encode state', /task-state\.js (encode|encodeSome|sample|touch)$|checkpoint\/state-file\.js|entry\.js encode/],
  [
    'write to Kafka',
    /adapters\/kafka\/(kafka-publisher|kafka-target|open-publisher|forget-ledger|ledger-records)\.js|kafka-protocol\/(record-batch|transaction-machine)\.js/
  ],
  ['read from Kafka', /adapters\/kafka\/|kafka-protocol\/(fetch-protocol|fetched-records|read-committed)\.js/],
  ['connections', /kafka-protocol\/|crc32c\.js/],
  ['checkpoint files', /dist\/checkpoint\//],
  ['look up keys', /core\/(task-state|entry)\.js|kernel\/keys\.js|keyed-task\.js receive$/],
  ['run handlers', /core\/(handler-runner|task-context|keyed-task|task-inputs)\.js/],
  ['steps', /core\/task-outputs\.js/]
]
export const stageNames: readonly string[] = [...stages.map(([name]) => name), 'garbage collection', 'other']

export interface Frame {
  readonly functionName: string
  readonly url: string
}

/** Undefined: that of its caller. */
export function stageOf({ functionName, url }: Frame): string | undefined {
  const text = `${url} ${functionName}`
  return stages.find(([, pattern]) => pattern.test(text))?.[0]
}
