/**
 * Spans through `@opentelemetry/api`, an optional package. Whoever sets up an SDK in the process gets them; without one they are nothing.
 * Names: semantic conventions 1.30 for messaging; what is Cairn's own begins with `cairn.`.
 */
import type * as Api from '@opentelemetry/api'
import { CodedError } from '../kernel/errors.ts'
import { tracePartsOf, traceText } from '../kernel/trace-context.ts'
import type { CheckpointSpan, Span, Traced, Tracing } from '../ports/telemetry.ts'

/** Rejects with PACKAGE_MISSING. */
export async function loadTracing(
  load: () => Promise<unknown> = () => import('@opentelemetry/api')
): Promise<OpenTelemetry> {
  try {
    const loaded = (await load()) as typeof Api & { readonly default?: typeof Api }
    return new OpenTelemetry(loaded.default ?? loaded)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new CodedError('PACKAGE_MISSING', 'tracing needs package "@opentelemetry/api", which is not installed', {
      cause: error,
      remedy: 'npm install @opentelemetry/api@1, and an SDK: see docs/tracing.md'
    })
  }
}

const decoder = new TextDecoder()

export class OpenTelemetry implements Tracing {
  private readonly api: typeof Api
  private readonly tracer: Api.Tracer

  constructor(api: typeof Api) {
    this.api = api
    this.tracer = api.trace.getTracer('cairn')
  }

  begin(of: Traced, trace: string): Span {
    const { api } = this
    const parent = this.contextOf(trace, of.kind === 'record')
    const kind = of.kind === 'record' ? api.SpanKind.CONSUMER : api.SpanKind.INTERNAL
    const span = this.tracer.startSpan(`process ${nameOf(of)}`, { kind, attributes: attributesOf(of) }, parent)
    return new EventSpan(api, span, api.trace.setSpan(parent, span))
  }

  checkpoint(job: string, generation: number, epoch: number): CheckpointSpan {
    const { api } = this
    const attributes = { 'cairn.job': job, 'cairn.generation': generation, 'cairn.epoch': epoch }
    const span = this.tracer.startSpan('checkpoint', { attributes, root: true })
    return {
      end: (how, sizeBytes) => {
        span.setAttribute('cairn.checkpoint.outcome', how)
        if (sizeBytes !== undefined) span.setAttribute('cairn.checkpoint.size', sizeBytes)
        if (how === 'abandoned') span.setStatus({ code: api.SpanStatusCode.ERROR, message: 'abandoned' })
        span.end()
      }
    }
  }

  private contextOf(trace: string, isRemote: boolean): Api.Context {
    const { traceId, spanId, flags, state } = tracePartsOf(trace)
    const traceState = state === undefined ? {} : { traceState: this.api.createTraceState(state) }
    const context = { traceId, spanId, traceFlags: flags, isRemote, ...traceState }
    return this.api.trace.setSpanContext(this.api.ROOT_CONTEXT, context)
  }
}

class EventSpan implements Span {
  readonly trace: string
  private readonly api: typeof Api
  private readonly span: Api.Span
  private readonly context: Api.Context

  constructor(api: typeof Api, span: Api.Span, context: Api.Context) {
    this.api = api
    this.span = span
    this.context = context
    const { traceId, spanId, traceFlags, traceState } = span.spanContext()
    this.trace = traceText({ traceId, spanId, flags: traceFlags, state: traceState?.serialize() })
  }

  run<T>(f: () => T): T {
    return this.api.context.with(this.context, f)
  }

  end(failure?: { readonly error: unknown }): void {
    const { span } = this
    if (failure !== undefined) {
      const { error } = failure
      const message = error instanceof Error ? error.message : String(error)
      span.recordException(error instanceof Error ? error : message)
      span.setAttribute(
        'error.type',
        error instanceof CodedError ? error.code : error instanceof Error ? error.name : '_OTHER'
      )
      span.setStatus({ code: this.api.SpanStatusCode.ERROR, message })
    }
    span.end()
  }
}

const nameOf = (of: Traced): string => (of.kind === 'record' ? (of.topic ?? of.stage) : of.stage)

function attributesOf(of: Traced): Api.Attributes {
  const own = { 'cairn.job': of.job, 'cairn.stage': of.stage }
  if (of.kind === 'event') return { ...own, 'cairn.key': of.key, 'cairn.event.id': of.id }
  const { connector, topic, partition, offset, key } = of
  const isKafka = connector === 'kafka'
  return {
    ...own,
    'messaging.system': isKafka ? 'kafka' : `cairn.${connector}`,
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': topic ?? of.stage,
    'messaging.destination.partition.id': partition,
    ...(isKafka ? { 'messaging.kafka.offset': offset } : { 'cairn.offset': offset }),
    ...(isKafka && key !== undefined ? { 'messaging.kafka.message.key': decoder.decode(key) } : {})
  }
}
