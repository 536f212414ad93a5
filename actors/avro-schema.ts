/** Avro schemas as users write them. */

/** As JSON, or its text. */
export type AvroSchema = string | object

export const textOf = (schema: AvroSchema): string => (typeof schema === 'string' ? schema : JSON.stringify(schema))
