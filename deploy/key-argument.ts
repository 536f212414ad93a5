/** Keys as written on the command line. */
import { CodedError } from '../runtime/kernel/errors.ts'
import { checkKey, encodeKey, type Key } from '../runtime/kernel/keys.ts'

/**
 * A JSON number or array is that key, everything else a string as it stands; with `exact` the text is JSON altogether, so that
 * the string "42", or one with a lone surrogate, can be named. Throws USAGE or KEY_INVALID.
 */
export function keyArgument(text: string, exact: boolean): Key {
  let value: unknown = text
  try {
    const parsed: unknown = JSON.parse(text)
    if (exact || typeof parsed === 'number' || Array.isArray(parsed)) value = parsed
  } catch {
    if (exact) throw new CodedError('USAGE', `key ${JSON.stringify(text)} is not JSON, which --key-json wants`)
  }
  checkKey(value)
  encodeKey(value)
  return value
}
