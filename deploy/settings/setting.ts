/** One thing that can be set: as a flag, a variable of the environment, or a key of a file. Its name in a file gives the other two. */
import { readFileSync } from 'node:fs'
import { parseDuration, parseSize, type Duration } from '../../runtime/kernel/durations.ts'
import { addressOf, type Address } from '../address.ts'

export interface Setting<Value, Always extends boolean = boolean> {
  readonly about: string
  /** What stands for its value in the help, `<n>`; undefined: it is on or off. */
  readonly placeholder: string | undefined
  readonly many: boolean
  /** @param given text, a list of texts, or what JSON holds. Throws an error whose message says what it must be */
  readonly read: (given: unknown) => Value
  readonly always: Always
  readonly fallback: Value | undefined
  /** The fallback as people write it. */
  readonly shown: string | undefined
  /** Its value is never shown. */
  readonly secret: boolean
  /** It is for one start: neither in a file nor in the environment, where it would be forgotten. */
  readonly flagOnly: boolean
}

export type Settings = Readonly<Record<string, Setting<unknown>>>

/** What has a fallback is always there. */
export type Values<Table extends Settings> = {
  readonly [
    Name in keyof Table as Table[Name] extends Setting<unknown, true> ? Name : never
  ]: Table[Name] extends Setting<infer Value> ? Value : never
} & {
  readonly [
    Name in keyof Table as Table[Name] extends Setting<unknown, true> ? never : Name
  ]?: Table[Name] extends Setting<infer Value> ? Value : never
}

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
export const variableOf = (name: string): string =>
  `CAIRN_${name.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`

function setting<Value>(
  about: string,
  placeholder: string | undefined,
  read: (given: unknown) => Value
): Setting<Value, false> {
  return {
    about,
    placeholder,
    read,
    many: false,
    always: false,
    fallback: undefined,
    shown: undefined,
    secret: false,
    flagOnly: false
  }
}

export function withFallback<Value>(
  of: Setting<Value, false>,
  fallback: Value,
  shown = String(fallback)
): Setting<Value, true> {
  return { ...of, always: true, fallback, shown }
}
export const secret = <Value>(of: Setting<Value, false>): Setting<Value, false> => ({ ...of, secret: true })
export const flagOnly = <Value>(of: Setting<Value, false>): Setting<Value, false> => ({ ...of, flagOnly: true })

function textOf(given: unknown): string {
  if (typeof given !== 'string') throw new Error('it must be a text')
  if (given === '') throw new Error('it must not be empty')
  return given
}

export const text = (about: string, placeholder: string): Setting<string, false> => setting(about, placeholder, textOf)

/** @param parse throws an error whose message says what it must be */
export const parsed = <Value>(
  about: string,
  placeholder: string,
  parse: (text: string) => Value
): Setting<Value, false> => setting(about, placeholder, given => parse(textOf(given)))

export const wholeNumber = (about: string, least: number): Setting<number, false> =>
  setting(about, '<n>', given => {
    const n = typeof given === 'string' && given.trim() !== '' ? Number(given) : given
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < least)
      throw new Error(`it must be a whole number from ${least}`)
    return n
  })

/** What `parse` takes: text only, so that a bare number does not leave its unit to be guessed. */
const withUnit = (
  about: string,
  placeholder: string,
  parse: (text: string) => number,
  mustBe: string
): Setting<number, false> =>
  setting(about, placeholder, given => {
    try {
      return parse(textOf(given))
    } catch (error) {
      throw new Error(mustBe, { cause: error })
    }
  })

/** @param leastMs a shorter one is refused */
export const duration = (about: string, leastMs = 0): Setting<number, false> =>
  withUnit(
    about,
    '<duration>',
    text => {
      const ms = parseDuration(text as Duration, 'it')
      if (ms < leastMs) throw new Error(`${ms} ms is too short`)
      return ms
    },
    `it must be a duration like 100ms, 5s or 2m${leastMs === 0 ? '' : `, at least ${leastMs}ms`}`
  )

export const size = (about: string): Setting<number, false> =>
  withUnit(about, '<size>', text => parseSize(text, 'it'), 'it must be a size like 64MiB or 2GiB')

export const oneOf = <const Choice extends string>(
  about: string,
  placeholder: string,
  choices: readonly Choice[]
): Setting<Choice, false> =>
  setting(`${about} (${choices.join(' or ')})`, placeholder, given => {
    const found = choices.find(choice => choice === given)
    if (found === undefined) throw new Error(`it must be ${choices.join(' or ')}`)
    return found
  })

export const address = (about: string): Setting<Address, false> =>
  setting(about, '<host:port>', given => {
    try {
      return addressOf('it', textOf(given))
    } catch (error) {
      throw new Error(`it is not of the form host:port`, { cause: error })
    }
  })

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Error(`it cannot be read: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`, { cause })
  }
}

/** A file that can be read; its path. */
export const file = (about: string): Setting<string, false> =>
  setting(about, '<file>', given => {
    const path = textOf(given)
    contentOf(path)
    return path
  })

/** What stands in a file. */
export const content = (about: string): Setting<string, false> =>
  setting(about, '<file>', given => contentOf(textOf(given)))

export const list = (about: string, placeholder: string): Setting<readonly string[], false> => ({
  ...setting(about, placeholder, given => {
    const all = (Array.isArray(given) ? (given as unknown[]) : [given]).flatMap(each => textOf(each).split(','))
    const found = all.map(each => each.trim()).filter(each => each !== '')
    if (found.length === 0) throw new Error('it must name at least one')
    return found
  }),
  many: true
})

export const toggle = (about: string): Setting<boolean, false> =>
  setting(about, undefined, given => {
    if (given === true || given === 'true' || given === '1') return true
    if (given === false || given === 'false' || given === '0') return false
    throw new Error('it must be true or false')
  })
