/** Records that are read where they stand, against those that are decoded one by one, and what is damaged. */
import t from 'tap'
import { FetchedRecords } from '../../../runtime/kafka-protocol/fetched-records.ts'
import { testMistakes } from '../../support/planted.ts'
import { verdict } from '../ports/judge.ts'
import { testFetchedRecords } from './fetched-records-rules.ts'

t.setTimeout(300_000)

const file = 'runtime/kafka-protocol/fetched-records.js'

void t.test('the rules', t => testFetchedRecords(t, FetchedRecords))

testMistakes(
  'the rules notice',
  file,
  {
    'aborted transactions that are not left out': ['|| !skipped.has(producerId)', ''],
    'what a producer commits after it has aborted is left out': ['skipped.delete(producerId);', ';'],
    'a transaction taken for aborted where it begins only behind this batch': [
      '<= lastOffset; ended++',
      '<= Infinity; ended++'
    ],
    'aborted transactions believed to come in order': ['.sort((a, b) => a.firstOffset - b.firstOffset)', ''],
    'records outside transactions left out with those of an aborted one': [
      '((attributes & transactionalBit) === 0 || ',
      '('
    ],
    'marks of transactions handed out as records': [
      'if ((attributes & controlBit) !== 0) {',
      'if ((attributes & controlBit) !== 0 && isAbort(bytes, from, end)) {'
    ],
    'records before the position handed out': ['if (offset < position) continue;', ''],
    'a batch that begins before the position left out': ['lastOffset >= position &&', 'baseOffset >= position &&'],
    'records numbered one by one, whatever compaction has taken': [
      'const offset = baseOffset + cursor.varint();',
      'cursor.varint(); const offset = baseOffset + count - left;'
    ],
    'the next position behind the last record, not behind its batch': [
      'const lastOffset = baseOffset + view.getUint32(at + lastDeltaAt);',
      'const lastOffset = baseOffset + view.getUint32(at + countAt) - 1;'
    ],
    'a check that is not looked at': [
      'if (view.getUint32(at + crcAt) !== crc32c(bytes.subarray(at + attributesAt, end)))',
      'if (false)'
    ],
    'a batch that was cut off handed out': [
      'const end = at + 12 + view.getUint32(at + 8);',
      'const end = Math.min(bytes.length, at + 12 + view.getUint32(at + 8));'
    ],
    'times counted from the largest one of the batch': [
      'baseTime: int64(view, at + baseTimeAt)',
      'baseTime: int64(view, at + maxTimeAt)'
    ],
    "the producer's time where the broker's counts": ['(attributes & logAppendBit) === 0', 'true'],
    "the broker's time where the producer's counts": ['(attributes & logAppendBit) === 0', 'false'],
    'compressed records taken for plain ones': ['if (codec === 0)', 'if (true)'],
    'a buffer taken for that of the record before': [
      'while ((buffers[at + 1]?.first ?? Infinity) <= i) at++;',
      'while ((buffers[at + 1]?.first ?? Infinity) < i) at++;'
    ]
  },
  async (t, load) => {
    const { FetchedRecords: Mistaken } = await load<{ readonly FetchedRecords: typeof FetchedRecords }>(file)
    t.type(await verdict(t => testFetchedRecords(t, Mistaken)), 'string')
  }
)
