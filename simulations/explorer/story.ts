/** A step as a line that a person can read. */
import type { Action } from './explorer.ts'
import type { Local } from './local.ts'
import type { Reply, Request } from './world.ts'

export function storyOf(
  action: Action,
  workers: readonly Local[],
  late: readonly Request[],
  replyTo: (request: Request) => Reply
): string {
  switch (action.kind) {
    case 'late': {
      const request = late[action.index] as Request
      return `late: ${requestText(request)} → ${replyText(replyTo(request))}, nobody hears of it`
    }
    case 'ledger-lost':
      return `fault: the ledger entry of slot ${action.slot} expires`
    case 'decision-lost':
      return 'fault: the storage forgets its newest decision'
    case 'boot':
    case 'fork':
    case 'crash':
    case 'trigger':
    case 'timeout':
      return `${workers[action.worker]?.name}: ${actionTexts[action.kind]}`
    case 'answer':
    case 'give-up': {
      const worker = workers[action.worker]
      const request = worker?.out[action.index]?.request as Request
      const what = `${worker?.name}: ${requestText(request)}`
      return action.kind === 'give-up' ? `${what} → no answer in time` : `${what} → ${replyText(replyTo(request))}`
    }
  }
}

const actionTexts = {
  boot: 'starts',
  fork: 'starts, and is to go back',
  crash: 'crashes',
  trigger: 'triggers the next epoch',
  timeout: 'the epoch takes too long'
}

function requestText(request: Request): string {
  switch (request.op) {
    case 'create':
      return `create ${of(request)}${short(request.name)}${contentText(request)}`
    case 'read':
      return `read ${of(request)}${short(request.name)}`
    case 'list':
      return `list ${of(request)}${request.folder}`
    case 'remove':
      return `remove ${of(request)}${request.names.map(short).join(', ')}`
    case 'lineages':
      return 'list the lineages'
    case 'initialise': {
      const renews = request.renews === undefined ? '' : ` if producer ${request.renews} is the newest`
      return `slot ${request.slot}: initialise "${request.id}"${renews}`
    }
    case 'end':
      return `slot ${request.slot}: end the transaction of producer ${request.producer}`
    case 'add': {
      const entry = request.entry && `, entry (epoch ${request.entry.epoch}, chunk ${request.entry.chunk})`
      return `slot ${request.slot}: add [${request.records.join(' ')}]${entry ?? ''} as producer ${request.producer}`
    }
    case 'ledger':
      return `slot ${request.slot}: read the ledger`
    case 'publish': {
      const { slot, producer, records, entry } = request
      const place = entry === undefined ? 'no entry' : `entry (epoch ${entry.epoch}, chunk ${entry.chunk})`
      return `slot ${slot}: publish [${records.join(' ')}] with ${place} as producer ${producer}`
    }
  }
}

function of({ lineage }: { readonly lineage?: number }): string {
  return lineage === undefined ? '' : `lineage ${lineage}/`
}

function contentText({ name, text }: { readonly name: string; readonly text: string }): string {
  if (!name.startsWith('decisions/')) return ''
  const { decision } = JSON.parse(text) as {
    decision: { kind: string; epoch?: number; generation: number; ends?: { into: number } }
  }
  const epoch = decision.epoch === undefined ? '' : ` epoch ${decision.epoch}`
  const ends = decision.ends === undefined ? '' : `, ends into lineage ${decision.ends.into}`
  return ` "${decision.kind}${epoch}, generation ${decision.generation}${ends}"`
}

function short(name: string): string {
  return name.replace(/0{2,}(?=\d)/g, '')
}

function replyText(reply: Reply): string {
  if (typeof reply === 'number') return `producer ${reply}`
  if (typeof reply === 'string') return reply
  if (Array.isArray(reply)) return `[${reply.map(each => short(String(each))).join(', ')}]`
  if ('entry' in reply && reply.entry !== undefined) return `epoch ${reply.entry.epoch}, chunk ${reply.entry.chunk}`
  return 'text' in reply ? 'there' : 'nothing'
}
