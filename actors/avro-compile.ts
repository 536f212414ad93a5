/** Compiles Avro schemas, after a look at their names, depth and size: they come from outside. Types of the library stay behind this file. */
import avsc from 'avsc'

export type AvroType = avsc.Type
export type AvroResolver = avsc.Resolver

/** Larger ones are no schemas of events; compiling them takes that long. */
const schemaLimit = 1024 * 1024
const depthLimit = 64
const nameRule = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/

export const bufferOver = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length)

/** Throws a TypeError that says what is wrong with the schema. `before`: those whose names it may use, each after those that it uses itself. */
export function compile(text: string, before: readonly string[] = []): avsc.Type {
  // Without a prototype, whose members are no types.
  const registry = Object.create(null) as Record<string, avsc.Type>
  for (const each of before) avsc.Type.forSchema(checked(each), { registry })
  return avsc.Type.forSchema(checked(text), { registry })
}

/** The name of a primitive may stand for itself. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function checked(text: string): avsc.Schema {
  if (text.length > schemaLimit) throw new TypeError(`an Avro schema of ${text.length} characters is too long`)
  const schema = parsed(text)
  check(schema, 0)
  return schema as avsc.Schema
}

function check(schema: unknown, depth: number): void {
  if (depth > depthLimit) throw new TypeError(`an Avro schema is nested deeper than ${depthLimit}`)
  if (Array.isArray(schema)) for (const each of schema) check(each, depth + 1)
  else if (typeof schema === 'object' && schema !== null)
    for (const [key, value] of Object.entries(schema)) {
      if (key === 'name' && value === '__proto__') throw new TypeError('an Avro schema has the name "__proto__"')
      const isName = key === 'name' || (key === 'namespace' && value !== '')
      if (isName && (typeof value !== 'string' || !nameRule.test(value)))
        throw new TypeError(`an Avro schema has the ${key} ${JSON.stringify(value)}`)
      if (key === 'symbols' && Array.isArray(value))
        for (const symbol of value)
          if (typeof symbol !== 'string' || !nameRule.test(symbol))
            throw new TypeError(`an Avro schema has the symbol ${JSON.stringify(symbol)}`)
      if (key === 'type' || key === 'items' || key === 'values' || key === 'fields') check(value, depth + 1)
    }
}
