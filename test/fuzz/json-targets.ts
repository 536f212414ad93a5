/** JSON of which only declared fields are read: whatever comes, the answer is that of JSON.parse. */
import { isDeepStrictEqual } from 'node:util'
import type * as Fields from '../../actors/json-fields.ts'
import { everyType, orNull, picked, type Declared } from '../support/picked-json.ts'
import type { Load, Target } from './targets.ts'

const texts: readonly string[] = [
  '{"n":1,"i":-5,"s":"text","flag":true,"whole":[{"a":1e3}],"person":null,"more":"passed over"}',
  '{"n":1.5,"s":"","person":{"id":2,"name":"x","address":{"city":"ü","zip":[1,2]},"n":[]},"nothing":null}',
  ' {\n  "n": -0, \t"s": "a\\u00fc\\"\\n\\ud83d\\ude00", "person": null, "maybe": { "n": null, "s": "ß" }\r\n} ',
  '{"skipped":{"n":"2","list":[[],{},[{"x":[true,false,null,-1.5E-7,"\\\\"]}]]},"s":"s","n":12345678901234567890,"person":null}',
  '{"n":1,"n":"2","n":3,"s":"a","s":"b","person":{"id":1},"person":null}',
  '{"\\u006e":1,"s":"x","person":null,"f\\u006cag":false,"\\u0069":3,"ü€😀":"y","a\\"b":1,"\\ud800":2,"":3,"7":true}',
  '{"n":1,"s":"x","person":null,"f\\u006cag":false}',
  '{"__proto__":{"n":1},"n":1,"s":"x","person":null,"constructor":"c","hasOwnProperty":{"__proto__":1}}',
  '\ufeff{"n":0.1,"s":"long enough that more than four bytes are read at a time","person":null,"other":"日本語"}',
  `{"deep":${'['.repeat(300)}${']'.repeat(300)},"n":1e400,"s":"x","person":null}`
]

export async function jsonTargets(load: Load): Promise<Target[]> {
  const { decoderOf, Nullable } = (await load('actors/json-fields.js')) as typeof Fields
  const decode = decoderOf(everyType(type => new Nullable(type)) as Fields.FieldTypes)
  const declared = everyType(orNull) as Declared
  return [
    {
      name: 'JSON fields',
      seeds: texts.map(text => new TextEncoder().encode(text)),
      decode(bytes) {
        const expected = picked(declared, bytes)
        let value: unknown
        try {
          value = decode(bytes)
        } catch (error) {
          if (expected !== undefined) throw error
          return 'refused'
        }
        if (expected === undefined) throw new Error(`took what JSON.parse refuses: ${JSON.stringify(value)}`)
        if (!isDeepStrictEqual(value, expected.value))
          throw new Error(`made ${JSON.stringify(value)} instead of ${JSON.stringify(expected.value)}`)
        return 'taken'
      },
      codes: []
    }
  ]
}
