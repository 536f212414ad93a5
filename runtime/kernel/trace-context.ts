/**
 * Trace contexts (W3C Trace Context, level 1), carried from the headers of what is read to the headers of what is written: one string,
 * `''` for none, else `traceparent`, then `;tracestate` where there is one.
 */
import { headersSizeBytes, type RecordHeader } from './record-header.ts'

const parentName = 'traceparent'
const stateName = 'tracestate'
/** `00-<trace id>-<parent id>-<flags>`. */
const parentLength = 55
const parentForm = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?=$|-)/
/** The least that everybody has to carry; more in every record would cost more than it tells. */
const stateLimit = 512
const stateForm = /^[\x20-\x7e]+$/

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** What is malformed counts as absent: tracing never fails a job. Of several headers of one name the last counts. */
export function traceOf(headers: readonly RecordHeader[] | undefined): string {
  if (headers === undefined || headers.length === 0) return ''
  let parent = ''
  let state = ''
  for (const { name, value } of headers)
    if (name === parentName) parent = textOf(value)
    else if (name === stateName) state = textOf(value)
  parent = checkParent(parent)
  if (parent === '') return ''
  return stateForm.test(state) ? `${parent};${state}` : parent
}

const textOf = (value: Uint8Array | undefined): string =>
  value === undefined || value.length > stateLimit ? '' : decoder.decode(value)

/** A later version is read as this one, as it must allow; ff is none. */
function checkParent(text: string): string {
  if (!parentForm.test(text) || text.startsWith('ff')) return ''
  if (text.startsWith('00')) return text.length === parentLength ? text : ''
  return `00${text.slice(2, parentLength)}`
}

export interface TraceParts {
  readonly traceId: string
  readonly spanId: string
  readonly flags: number
  readonly state: string | undefined
}

/** @param trace what `traceOf` or `traceText` gave, not '' */
export function tracePartsOf(trace: string): TraceParts {
  return {
    traceId: trace.slice(3, 35),
    spanId: trace.slice(36, 52),
    flags: Number.parseInt(trace.slice(53, parentLength), 16),
    state: trace.length > parentLength ? trace.slice(parentLength + 1) : undefined
  }
}

export function traceText({ traceId, spanId, flags, state }: TraceParts): string {
  const parent = `00-${traceId}-${spanId}-${(flags & 0xff).toString(16).padStart(2, '0')}`
  return state === undefined || state === '' ? parent : `${parent};${state}`
}

/** Whoever began the trace records it. */
export function isSampled(trace: string): boolean {
  return trace !== '' && (Number.parseInt(trace.slice(53, parentLength), 16) & 1) === 1
}

export function traceHeaders(trace: string): readonly RecordHeader[] {
  if (trace === '') return []
  const parent = { name: parentName, value: encoder.encode(trace.slice(0, parentLength)) }
  const state = trace.slice(parentLength + 1)
  return state === '' ? [parent] : [parent, { name: stateName, value: encoder.encode(state) }]
}

/** What a record says of itself comes first; a context that takes more than the `roomBytes` that are left stays behind. */
export function withTrace(
  headers: readonly RecordHeader[] | undefined,
  trace: string,
  roomBytes: number
): readonly RecordHeader[] | undefined {
  if (trace === '' || headers?.some(({ name }) => name === parentName) === true) return headers
  const carried = traceHeaders(trace)
  if (headersSizeBytes(carried) > roomBytes) return headers
  return headers === undefined ? carried : [...headers, ...carried]
}
