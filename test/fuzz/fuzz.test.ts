/** Every decoder under some thousand mutated inputs; `npm run fuzz` gives each a million. */
import t from 'tap'
import { planted, type Change } from '../support/planted.ts'
import { fuzz } from './run-fuzz.ts'
import { targetsOf, type Load, type Target } from './targets.ts'

const inputs = 1500

const load: Load = file => import(new URL(`../../${file}`, import.meta.url).href)

const called = async (name: string, load: Load): Promise<Target> => {
  const found = (await targetsOf(load)).find(target => target.name === name)
  if (found === undefined) throw new Error(`no decoder "${name}"`)
  return found
}

for (const target of await targetsOf(load))
  void t.test(`${target.name}: whatever comes is taken, or refused with a code that is declared`, async t => {
    const { finding, outcomes } = fuzz(target, inputs, 'test')
    t.equal(finding, undefined)
    t.ok((outcomes['taken'] ?? 0) > 0, 'some inputs are valid')
    t.ok(
      Object.entries(outcomes).some(([outcome, count]) => outcome !== 'taken' && count > 0),
      'and some are refused'
    )
  })

const mistakes: readonly (readonly [name: string, target: string, change: Change, found: RegExp])[] = [
  [
    'a decoder that makes room for as many elements as are promised',
    'values',
    [
      'actors/state-codec.js',
      'for (let left = count(r); left > 0; left--) list.push(decode(r, depth + 1)); return list;',
      'return Array.from({ length: count(r) }, () => decode(r, depth + 1));'
    ],
    /bytes took \d+ bytes of memory/
  ],
  [
    'a reader that believes lengths',
    'recorded messages',
    ['runtime/kernel/bytes.js', 'if (bytes > this.end - at)', 'if (false)'],
    /a crash: Offset is outside/
  ],
  [
    'a manifest that is parsed without a net',
    'manifests',
    [
      'checkpoint/manifest.js',
      'throw new CodedError(\'CORRUPT\', `manifest "${name}" is no JSON`, { cause });',
      'throw cause;'
    ],
    /a crash: .*JSON/
  ],
  [
    'a frame whose refusal has a code that nobody expects',
    'frames',
    ['runtime/core/frames.js', "new CodedError('FRAME_MALFORMED', why)", "new CodedError('INTERNAL', why)"],
    /INTERNAL: /
  ],
  [
    'a reader of batches that makes room for as many records as are promised',
    'fetched records',
    ['runtime/kafka-protocol/fetched-records.js', 'if (count * 7 > end - start)', 'if (false)'],
    /bytes took \d+ (ms|bytes of memory)|a crash: .*(length|allocation)/
  ],
  [
    'a compressed block for which as much room is made as it promises',
    'fetched records',
    [
      'runtime/kernel/level-format.js',
      'Math.min(uncompressedLimitBytes, snappyRatio * bytes.length)',
      'uncompressedLimitBytes'
    ],
    /bytes took \d+ bytes of memory/
  ],
  [
    'fields of JSON of which the first of two with one name is kept',
    'JSON fields',
    [
      'actors/json-fields.js',
      'values[field.index] = value;',
      'if (values[field.index] === absent) values[field.index] = value;'
    ],
    /a crash: made .* instead of/
  ],
  [
    'a name with escapes that is taken for another',
    'JSON fields',
    ['actors/json-scanner.js', 'if (!this.skipString() || this.escaped)', 'if (!this.skipString())'],
    /a crash: made .* instead of/
  ],
  [
    'JSON whose undeclared parts are passed over unseen',
    'JSON fields',
    ['actors/json-scanner.js', 'if (byte !== closer)', 'if (byte === 0)'],
    /a crash: took what JSON.parse refuses/
  ],
  [
    'JSON whose undeclared text may be anything but UTF-8',
    'JSON fields',
    ['actors/json-scanner.js', 'this.checked || this.isUtf8()', 'true'],
    /a crash: took what JSON.parse refuses/
  ]
]

for (const [name, target, change, found] of mistakes)
  void t.test(`the fuzzer finds ${name}`, async t => {
    const { finding } = fuzz(await called(target, planted(t, [change])), 20 * inputs, 'test')
    t.match(finding, found)
  })

void t.test('the fuzzer finds a decoder that takes long for some input', async t => {
  const slow: Target = {
    name: 'slow',
    seeds: [new Uint8Array(10)],
    codes: [],
    decode(bytes) {
      for (const end = performance.now() + 60; bytes[0] === 7 && performance.now() < end;);
      return 'taken'
    }
  }
  t.match(fuzz(slow, inputs, 'test').finding, /bytes took \d+ ms/)
})
