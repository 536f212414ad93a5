/** Durations and sizes as people write them. */
import { CodedError } from './errors.ts'

/** Milliseconds, or a number with a unit: `'250ms'`, `'1.5h'`, `'2d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const sizes = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

export const seconds = (n: number): number => n * units.s
export const minutes = (n: number): number => n * units.m
export const hours = (n: number): number => n * units.h
export const days = (n: number): number => n * units.d

/** Milliseconds, not negative. `what` names the option in the error. */
export function parseDuration(duration: Duration, what: string): number {
  const match = typeof duration === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) : null
  const ms = match === null ? duration : Number(match[1]) * units[match[2] as keyof typeof units]
  if (typeof ms !== 'number' || !(ms >= 0))
    throw new CodedError(
      'OPTION_INVALID',
      `${what} is ${JSON.stringify(duration)}; write milliseconds or a number with ms, s, m, h or d`
    )
  return ms
}

/** Bytes, a whole number. */
export function parseSize(size: number | string, what: string): number {
  const match = typeof size === 'string' ? /^(\d+)(B|KiB|MiB|GiB)$/.exec(size) : null
  const bytes = match === null ? size : Number(match[1]) * sizes[match[2] as keyof typeof sizes]
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
    throw new CodedError(
      'OPTION_INVALID',
      `${what} is ${JSON.stringify(size)}; write bytes or a number with B, KiB, MiB or GiB`
    )
  return bytes
}

/** The shortest exact way to write it: `1h`, `90s`, `1500ms`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const)
    if (ms !== 0 && ms % units[unit] === 0) return `${ms / units[unit]}${unit}`
  return `${ms}ms`
}
