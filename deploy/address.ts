import { CodedError } from '../runtime/kernel/errors.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, an IPv6 address in brackets. Throws OPTION_INVALID. */
export function addressOf(option: string, text: string): Address {
  const match = /^(\[[0-9a-fA-F:.%]+\]|[^:\s]*):(\d{1,5})$/.exec(text)
  if (match === null) throw new CodedError('OPTION_INVALID', `${option} "${text}" is not of the form host:port`)
  const port = Number(match[2])
  if (port > 65_535) throw new CodedError('OPTION_INVALID', `${option} "${text}": a port is at most 65535`)
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port }
}
