/**
 * What a schema registry is asked for a recording, in this order: what Cairn's client asks, and whatever else shows how the registry answers.
 * They presuppose one that holds nothing and checks BACKWARD, and leave it changed.
 */
export interface RegistryRequest {
  /** What it shows, and its name. */
  readonly does: string
  readonly method: string
  /** `{name}` stands for the number that the request of that name was answered with. */
  readonly path: string
  readonly body?: string
  /** Null: none is sent. Default, with a body: the registry's own. */
  readonly contentType?: string | null
  /** Default: the registry's own. */
  readonly accept?: string
  /** Default: the user that the recording is made as. */
  readonly as?: 'nobody' | 'stranger'
  readonly name?: string
}

export const registryType = 'application/vnd.schemaregistry.v1+json'

const text = JSON.stringify
const id = { name: 'id', type: 'string' }
const record = (name: string, ...fields: object[]): object => ({ type: 'record', name, fields })
const order = record('Order', id)
const withNote = record('Order', id, { name: 'note', type: 'string', default: '-' })
/** Reads neither of them, and neither reads it. */
const strict = record('Order', { name: 'other', type: 'string' })
const money = { ...record('Money', { name: 'cents', type: 'long' }), namespace: 'shop' }
const priced = {
  ...record('Priced', { name: 'net', type: 'shop.Money' }, { name: 'tax', type: ['null', 'Money'], default: null }),
  namespace: 'shop'
}
const basket = record('Basket', id, { name: 'items', type: { type: 'array', items: 'shop.Priced' } })
const proto = 'syntax = "proto3";\nmessage Order {\n  string id = 1;\n}\n'
const odd = 'orders/äö +%25?x=1#:.value'

const at = (subject: string): string => `subjects/${encodeURIComponent(subject)}`
const get = (path: string, does: string, more: object = {}): RegistryRequest => ({ does, method: 'GET', path, ...more })
const drop = (path: string, does: string): RegistryRequest => ({ does, method: 'DELETE', path })
const put = (path: string, body: object, does: string): RegistryRequest => ({
  does,
  method: 'PUT',
  path,
  body: text(body)
})
const post = (path: string, body: object, does: string, more: object = {}): RegistryRequest => ({
  does,
  method: 'POST',
  path,
  body: text(body),
  ...more
})
const raw = (path: string, body: string, does: string, more: object = {}): RegistryRequest => ({
  does,
  method: 'POST',
  path,
  body,
  ...more
})
const register = (subject: string, schema: unknown, does: string, more: object = {}): RegistryRequest =>
  post(`${at(subject)}/versions`, { schema: typeof schema === 'string' ? schema : text(schema) }, does, more)
const lookUp = (subject: string, schema: object, does: string): RegistryRequest =>
  post(at(subject), { schema: text(schema) }, does)

/** Of a registry that lets in only whom it knows. */
export const userRequests: readonly RegistryRequest[] = [
  get('schemas/ids/1', 'without a user', { as: 'nobody' }),
  get('schemas/ids/1', 'with a wrong password', { as: 'stranger' }),
  register('s', order, 'a schema without a user', { as: 'nobody' })
]

const empty: readonly RegistryRequest[] = [
  get('subjects', 'no subjects yet'),
  get('schemas/types', 'the kinds of schemas'),
  get('config', 'the compatibility that holds where none is set'),
  get('config/s', 'the compatibility of a subject that is not there'),
  get('schemas/ids/1', 'a number that is not there'),
  get('schemas/ids/one', 'a number that is none'),
  get('subjects/s/versions', 'versions of a subject that is not there'),
  get('subjects/s/versions/1', 'a version of a subject that is not there'),
  get('subjects/s/versions/latest', 'the latest version of a subject that is not there'),
  lookUp('s', order, 'a schema of a subject that is not there'),
  drop('subjects/s', 'deletes a subject that is not there')
]

const registering: readonly RegistryRequest[] = [
  register('s', order, 'a first schema', { name: 'order' }),
  register('s', order, 'the same again'),
  register('s', text(order).replaceAll(',', ' ,\n'), 'the same with other spaces'),
  register('s', { fields: [id], name: 'Order', type: 'record' }, 'the same with its keys in another order'),
  register('other', order, 'the same under another subject'),
  register('s', withNote, 'a second version', { name: 'withNote' }),
  register('s', order, 'the first again'),
  register('s', strict, 'one that does not go with those before it'),
  register('s', '{"type":"recor"}', 'one that is no schema'),
  register('s', '{"type":', 'one that is no JSON'),
  register('s', '', 'an empty one'),
  register('s', record('0rder', id), 'one with a name that Avro does not allow'),
  register('s', record('Order', { name: 'id', type: 'Missing' }), 'one with a type that is defined nowhere'),
  register('plain', '"string"', 'that of a string', { name: 'plain' }),
  register('plain', '{"type":"string"}', 'that of a string, at length'),
  register('plain', 'string', 'that of a string, by its bare name')
]

const lookingUp: readonly RegistryRequest[] = [
  get('subjects', 'the subjects'),
  get('subjects/s/versions', 'the versions'),
  get('subjects/s/versions/1', 'a version'),
  get('subjects/s/versions/2', 'another version'),
  get('subjects/s/versions/latest', 'the latest version'),
  get('subjects/s/versions/-1', 'the latest version by its number'),
  get('subjects/s/versions/3', 'a version that is not there'),
  get('subjects/s/versions/0', 'a version that cannot be'),
  get('subjects/s/versions/newest', 'a version that is no number'),
  get('subjects/s/versions/1/schema', 'the schema alone'),
  get('schemas/ids/{order}', 'a schema by its number'),
  get('schemas/ids/{withNote}?subject=s', 'a schema by its number and a subject'),
  get('schemas/ids/{plain}', 'the schema of a string by its number'),
  get('schemas/ids/{order}/versions', 'where a number is used'),
  get('schemas/ids/999999', 'a number that is not there, among others'),
  lookUp('s', order, 'looks up the first'),
  lookUp('s', withNote, 'looks up the second'),
  lookUp('s', strict, 'looks up one that is not there'),
  post(at('s'), { schema: '{"type":"recor"}' }, 'looks up one that is no schema'),
  lookUp('nowhere', order, 'looks up in a subject that is not there')
]

const comparing: readonly RegistryRequest[] = [
  post('compatibility/subjects/s/versions/latest', { schema: text(order) }, 'would go with the latest'),
  post('compatibility/subjects/s/versions/latest', { schema: text(strict) }, 'would not go with the latest'),
  post(
    'compatibility/subjects/s/versions/latest?verbose=true',
    { schema: text(strict) },
    'would not go with the latest, and why'
  ),
  post('compatibility/subjects/s/versions/1', { schema: text(withNote) }, 'would go with the first'),
  post('compatibility/subjects/s/versions/9', { schema: text(order) }, 'compared with a version that is not there'),
  post('compatibility/subjects/t/versions/latest', { schema: text(order) }, 'compared where there is nothing'),
  post('compatibility/subjects/s/versions/latest', { schema: '{"type":"recor"}' }, 'compared, but no schema')
]

const configuring: readonly RegistryRequest[] = [
  get('config/s', 'the compatibility of a subject that has none of its own'),
  get('config/s?defaultToGlobal=true', 'the compatibility that holds for a subject'),
  put('config/s', { compatibility: 'SIDEWAYS' }, 'a compatibility that there is not'),
  put('config/s', { compatibility: 'NONE' }, 'sets that of a subject'),
  get('config/s', 'that of a subject'),
  register('s', strict, 'what did not go before', { name: 'strict' }),
  drop('config/s', 'takes that of a subject back'),
  get('config/s', 'that of a subject after that'),
  put('config', { compatibility: 'SIDEWAYS' }, 'a global one that there is not'),
  put('config', { compatibility: 'FULL' }, 'sets the global one'),
  get('config', 'the global one'),
  put('config', { compatibility: 'BACKWARD' }, 'sets it back')
]

const deleting: readonly RegistryRequest[] = [
  drop('subjects/s/versions/2', 'deletes a version'),
  drop('subjects/s/versions/2', 'deletes that version again'),
  drop('subjects/s/versions/9', 'deletes a version that is not there'),
  get('subjects/s/versions', 'the versions without the deleted one'),
  get('subjects/s/versions?deleted=true', 'the versions with the deleted one'),
  get('subjects/s/versions/2', 'the deleted version'),
  get('subjects/s/versions/2?deleted=true', 'the deleted version, asked for as such'),
  get('schemas/ids/{withNote}', 'the number of the deleted version'),
  lookUp('s', withNote, 'looks up the deleted one'),
  post(`${at('s')}?deleted=true`, { schema: text(withNote) }, 'looks it up among the deleted ones'),
  drop('subjects/s/versions/1?permanent=true', 'deletes a version for ever that was not deleted before'),
  drop('subjects/s/versions/2?permanent=true', 'deletes that version for ever'),
  get('schemas/ids/{withNote}', 'the number of what was deleted for ever'),
  get('subjects/s/versions/latest', 'the latest one of those that are left'),
  drop('subjects/other?permanent=true', 'deletes a subject for ever that was not deleted before'),
  drop('subjects/other', 'deletes a subject'),
  drop('subjects/other', 'deletes that subject again'),
  get('subjects', 'the subjects without the deleted one'),
  get('subjects?deleted=true', 'the subjects with the deleted one'),
  get('subjects/other/versions', 'the versions of the deleted one'),
  get('subjects/other/versions/latest', 'the latest version of the deleted one'),
  lookUp('other', order, 'looks up in the deleted one'),
  register('other', order, 'registers again under the deleted one'),
  get('subjects/other/versions/latest', 'which number its version has'),
  drop('subjects/other', 'deletes that subject once more'),
  drop('subjects/other?permanent=true', 'deletes that subject for ever'),
  get('subjects?deleted=true', 'the subjects after that')
]

const otherKinds: readonly RegistryRequest[] = [
  post('subjects/j/versions', { schemaType: 'JSON', schema: '{"type":"object"}' }, 'JSON Schema', { name: 'json' }),
  get('schemas/ids/{json}', 'JSON Schema by its number'),
  get('subjects/j/versions/1', 'JSON Schema by its version'),
  post('subjects/j', { schemaType: 'JSON', schema: '{"type":"object"}' }, 'looks up JSON Schema'),
  post('subjects/p/versions', { schemaType: 'PROTOBUF', schema: proto }, 'Protobuf', { name: 'protobuf' }),
  get('schemas/ids/{protobuf}', 'Protobuf by its number'),
  post('subjects/k/versions', { schemaType: 'XML', schema: '<a/>' }, 'a kind that there is not'),
  post('subjects/a/versions', { schemaType: 'AVRO', schema: text(order) }, 'Avro by its name'),
  register('j', order, 'Avro where there was JSON Schema')
]

const reference = (name: string, subject: string, version = 1): object => ({ name, subject, version })
const referring: readonly RegistryRequest[] = [
  register('money', money, 'what others refer to'),
  post(
    'subjects/priced/versions',
    { schema: text(priced), references: [reference('shop.Money', 'money')] },
    'one that refers to another',
    { name: 'priced' }
  ),
  post(
    'subjects/basket/versions',
    { schema: text(basket), references: [reference('shop.Priced', 'priced')] },
    'one that refers to one that refers',
    { name: 'basket' }
  ),
  get('schemas/ids/{priced}', 'one that refers, by its number'),
  get('schemas/ids/{basket}', 'one that refers to one that refers, by its number'),
  get('subjects/priced/versions/1', 'one that refers, by its version'),
  get('subjects/priced/versions/1?deleted=true', 'one that refers, be it deleted or not'),
  get('subjects/money/versions/1', 'what it refers to'),
  get('subjects/money/versions/1?deleted=true', 'what it refers to, be it deleted or not'),
  get('subjects/money/versions/1/referencedby', 'who refers to it'),
  post(
    'subjects/lost/versions',
    { schema: text(priced), references: [reference('shop.Money', 'money', 7)] },
    'one that refers to a version that is not there'
  ),
  drop('subjects/money/versions/1', 'deletes what is referred to')
]

const wording: readonly RegistryRequest[] = [
  register(odd, order, 'a subject whose name must be encoded'),
  get(`${at(odd)}/versions`, 'the versions of that subject'),
  lookUp(odd, order, 'looks up in that subject'),
  get(`${at(`${odd}!`)}/versions`, 'a subject like that one that is not there'),
  get('subjects', 'the subjects by their names'),
  get('subjects', 'accepts JSON', { accept: 'application/json' }),
  get('subjects', 'accepts anything', { accept: '*/*' }),
  get('subjects', 'accepts a web page', { accept: 'text/html' }),
  register('s', order, 'sent as JSON', { contentType: 'application/json' }),
  register('s', order, 'sent as text', { contentType: 'text/plain' }),
  register('s', order, 'sent as nothing', { contentType: null }),
  raw('subjects/s/versions', '{"schema":', 'a body that is no JSON'),
  raw('subjects/s/versions', '', 'an empty body'),
  raw('subjects/s/versions', '[]', 'a body that is a list'),
  raw('subjects/s/versions', '{}', 'a body without a schema'),
  raw('subjects/s/versions', '{"schema":5}', 'a schema that is no text'),
  raw('subjects/s/versions', text({ schema: order }), 'a schema that is an object'),
  raw('subjects/s/versions', text({ schema: text(order), other: 1 }), 'a body with more than is known'),
  get('subjects/', 'a slash at the end'),
  get('v1/schemas/ids/{order}', 'a path that there is not'),
  post('v1/subjects/s/versions', { schema: text(order) }, 'a schema for a path that there is not'),
  get('subjects/s/version', 'a word that there is not'),
  { does: 'a method that there is not', method: 'PATCH', path: 'subjects' }
]

export const registryRequests: readonly RegistryRequest[] = [
  ...empty,
  ...registering,
  ...lookingUp,
  ...comparing,
  ...configuring,
  ...deleting,
  ...otherKinds,
  ...referring,
  ...wording
]
