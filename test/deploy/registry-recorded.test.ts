/** What a real schema registry answered (test/support/record-registry.ts) is what the registry of the tests answers. */
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { ask, recordedAnswers, type Answer, type Exchange } from '../support/registry-recording.ts'
import { registryType } from '../support/registry-requests.ts'
import { RegistryStub } from '../support/registry-stub.ts'

const { exchanges } = recordedAnswers()

interface Difference {
  /** What Confluent documents, or what is odd. */
  readonly why: string
  /** What the registry of the tests answers instead; absent: it goes with the recording. */
  readonly instead?: Answer
}

const refusal = (status: number, error_code: number): Answer => ({
  status,
  contentType: registryType,
  body: { error_code, message: 'said' }
})
const ownCode = (status: number): Difference => ({
  why: 'Karapace has no error_code where no schema or subject is concerned; Confluent documents one for each error',
  instead: refusal(status, status)
})
const noSuchPath = (status: number): Difference => ({
  why: "Karapace answers a JSON text of another content type; Confluent's an object like those of other errors",
  instead: refusal(status, status)
})

/** Where Karapace does not answer as Confluent documents. */
const differences: Readonly<Record<string, Difference>> = {
  'without a user': ownCode(401),
  'with a wrong password': ownCode(401),
  'a schema without a user': ownCode(401),
  'accepts a web page': ownCode(406),
  'sent as text': ownCode(415),
  'sent as nothing': {
    why: 'Karapace fails with status 500, which says nothing of what is wrong',
    instead: refusal(415, 415)
  },
  'the compatibility of a subject that is not there': {
    why: "Confluent's has levels of subjects without versions, too: 40408",
    instead: refusal(404, 40408)
  },
  'takes that of a subject back': {
    why: 'Confluent documents the level that was taken back; Karapace answers the one that holds from then on',
    instead: { status: 200, contentType: registryType, body: { compatibilityLevel: 'NONE' } }
  },
  'one that does not go with those before it': {
    why: "Confluent's says 40901 in newer versions; its API reference says 409, and so does Karapace"
  },
  'would not go with the latest': {
    why: "Confluent's has messages only where `verbose` asks for them; Karapace always",
    instead: { status: 200, contentType: registryType, body: { is_compatible: false } }
  },
  'the number of what was deleted for ever': {
    why: "Confluent's forgets the number, too, once no version has it: 40403; Karapace keeps it"
  },
  'that of a string, at length': {
    why: "Confluent's takes both for one schema; to Karapace they are two"
  },
  'a kind that there is not': { why: 'Confluent documents 42201; Karapace says 422' },
  'a body with more than is known': { why: "Confluent's refuses fields that it does not know, with 422" },
  'a path that there is not': noSuchPath(404),
  'a schema for a path that there is not': noSuchPath(404),
  'a word that there is not': noSuchPath(404),
  'a method that there is not': noSuchPath(405)
}

/** Without what is free to differ: numbers of schemas, the wording of messages, the order of lists, spaces and the order of keys in schemas. */
function essence({ path }: Exchange, { body, ...answer }: Answer, number: (id: number) => number): object {
  if (Array.isArray(body)) {
    const list = path.endsWith('/referencedby') ? (body as number[]).map(number) : body
    return { ...answer, body: path.startsWith('subjects') ? [...(list as unknown[])].sort() : list }
  }
  if (typeof body !== 'object' || body === null) return { ...answer, body }
  const { id, schema, messages, message, ...rest } = body as Record<string, unknown>
  return {
    ...answer,
    ...rest,
    ...(typeof id === 'number' ? { id: number(id) } : {}),
    ...(typeof schema === 'string'
      ? { schema: rest['schemaType'] === 'PROTOBUF' ? words(schema) : parsed(schema) }
      : {}),
    ...(Array.isArray(messages) ? { messages: messages.length > 0 } : {}),
    ...(message === undefined ? {} : { message: 'said' })
  }
}

const words = (text: string): string => text.replaceAll(/\s+/g, ' ')
const parsed = (text: string): unknown => JSON.parse(text)
const numberIn = ({ body }: Answer): number | undefined => (body as { readonly id?: number } | null)?.id

/** One sentence per exchange that goes otherwise than it is recorded, or would have to. */
async function deviations(t: Test, recorded: readonly Exchange[]): Promise<string[]> {
  const stub = await RegistryStub.start(t, 'ann:secret')
  /** Of the real one, with those that the other gave instead. */
  const numbers = new Map<number, number>()
  const own = (id: number): number => numbers.get(id) ?? id
  const found: string[] = []
  for (const exchange of recorded) {
    const path = exchange.path.replace(/(?<=schemas\/ids\/)\d+/, id => String(own(Number(id))))
    const got = await ask(stub.url, { ...exchange, path }, 'ann:secret')
    const [theirs, ours] = [numberIn(exchange.answer), numberIn(got)]
    if (theirs !== undefined && ours !== undefined && !numbers.has(theirs)) {
      if ([...numbers.values()].includes(ours)) found.push(`${exchange.does}: ${ours} is the number of another schema`)
      numbers.set(theirs, ours)
    }
    const wanted = essence(exchange, differences[exchange.does]?.instead ?? exchange.answer, own)
    const actual = essence(exchange, got, id => id)
    if (!isDeepStrictEqual(actual, wanted))
      found.push(`${exchange.does}: ${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`)
  }
  return found
}

void t.test('the registry of the tests answers as the real one did', async t => {
  t.same(await deviations(t, exchanges), [])
})

void t.test('the comparison sees a planted deviation of each kind', async t => {
  const planted: Readonly<Record<string, (body: object) => Partial<Answer>>> = {
    'a number that is not there': () => ({ body: { error_code: 40402, message: '' } }),
    'a first schema': () => ({ status: 201 }),
    'the same under another subject': () => ({ body: { id: 77 } }),
    'the first again': () => ({ body: { id: 2 } }),
    'the versions': () => ({ body: [1] }),
    'a version': body => ({ body: { ...body, schema: '"string"' } }),
    'looks up the second': body => ({ body: { ...body, version: 1 } }),
    'who refers to it': () => ({ body: [] }),
    'accepts JSON': () => ({ contentType: registryType })
  }
  const changed = exchanges.map(each => {
    const change = planted[each.does]
    return change === undefined ? each : { ...each, answer: { ...each.answer, ...change(each.answer.body as object) } }
  })
  const seen = (await deviations(t, changed)).map(sentence => sentence.replace(/:.*/, ''))
  t.same(seen, Object.keys(planted))
})

void t.test('each exchange has a name of its own, and each difference is one', t => {
  const named = new Map(exchanges.map(each => [each.does, each]))
  t.equal(named.size, exchanges.length)
  for (const [does, { instead }] of Object.entries(differences)) {
    const exchange = named.get(does)
    if (exchange === undefined) t.fail(`${does}: there is no such exchange`)
    else if (instead !== undefined)
      t.strictNotSame(
        essence(exchange, instead, id => id),
        essence(exchange, exchange.answer, id => id),
        does
      )
  }
  t.end()
})
