/** What `json.fields` must answer, in the shortest words: JSON.parse, then each declared field; and types that have everything. */

/** As `FieldTypes`, but for what may be null. */
export type Declared = string | OrNull | { readonly [name: string]: Declared }
class OrNull {
  readonly type: Declared
  constructor(type: Declared) {
    this.type = type
  }
}
export const orNull = (type: Declared): Declared => new OrNull(type)

/** Undefined: it is refused. */
export function picked(declared: Declared, bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: pick(declared, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))) }
  } catch {
    return undefined
  }
}

function pick(declared: Declared, value: unknown): unknown {
  if (declared instanceof OrNull) return value === null ? null : pick(declared.type, value)
  if (declared === 'json') return value
  if (declared === 'integer') {
    if (!Number.isSafeInteger(value)) throw new TypeError('refused')
    return value
  }
  if (typeof declared === 'string') {
    if (typeof value !== declared) throw new TypeError('refused')
    return value
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('refused')
  const made: Record<string, unknown> = {}
  for (const [name, type] of Object.entries(declared)) {
    const optional = name.endsWith('?')
    const key = optional ? name.slice(0, -1) : name
    const own = Object.getOwnPropertyDescriptor(value, key)
    if (own !== undefined) made[key] = pick(type, own.value)
    else if (!optional) throw new TypeError('refused')
  }
  return made
}

/** Every type, required and not, null and not, at depth; names of every kind. */
export function everyType<T>(nullable: (type: never) => T): { readonly [name: string]: unknown } {
  const of = nullable as (type: unknown) => T
  return {
    n: 'number',
    'i?': 'integer',
    s: 'string',
    'flag?': 'boolean',
    'whole?': 'json',
    person: of({ id: 'number', 'name?': 'string', address: { city: 'string' } }),
    'nothing?': of('string'),
    'maybe?': of({ n: of('number'), s: 'string' }),
    'ü€😀?': 'string',
    'a"b?': 'number',
    '\ud800?': 'number',
    '?': 'number',
    'constructor?': 'string',
    'hasOwnProperty?': 'json',
    '7?': 'boolean',
    'a much longer name than the others?': 'string'
  }
}
