/** The public surface of `cairn`. */
export { Actor, output } from './actor.ts'
export type { ActorClass, Context, EventOf, Fields, Key, KeyOf, OutOf, Output } from './actor.ts'
export { count, distinctCount, first, last, max, mean, min, sum } from './aggregates.ts'
export type { Aggregate } from './aggregates.ts'
export { avro, registered } from './avro.ts'
export type { AvroSchema } from './avro-schema.ts'
export { bytes, json, text } from './codecs.ts'
export { debezium } from './debezium.ts'
export type { Change } from './debezium.ts'
export type { Checked, Codec, Decoded, StandardSchema } from './codecs.ts'
export type { FieldsOf, FieldType, FieldTypes, Nullable } from './json-fields.ts'
export type { KafkaRecord, SinkHeaders } from './connectors.ts'
export type { LatencyGoal } from './interval.ts'
export { csv, files, generator, kafka, lines, stdout, topic } from './io.ts'
export { durableMap } from './durable-map.ts'
export type { DurableMap } from './durable-map.ts'
export { job } from './job.ts'
export type { JobOptions, Plan } from './plan.ts'
export { service } from './service.ts'
export type { Service } from './service.ts'
export type {
  ActorStage,
  DedupeOptions,
  Delivered,
  Job,
  JobBuilder,
  KeyedStream,
  Origin,
  Sink,
  Source,
  SourceOptions,
  StageOptions,
  Stream,
  WindowedStream,
  WindowStage
} from './stream.ts'
export { global, session, sliding, tumbling } from './window.ts'
export type { Firing, Window, Windowed, WindowOptions } from './window.ts'
export { days, hours, minutes, seconds } from '../runtime/kernel/durations.ts'
export type { Duration } from '../runtime/kernel/durations.ts'
export { CodedError } from '../runtime/kernel/errors.ts'
