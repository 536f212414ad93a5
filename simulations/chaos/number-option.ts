import { InvalidArgumentError } from 'commander'

/** Parses the value of an option. */
export const numberFrom =
  (least: number, whole: boolean) =>
  (text: string): number => {
    const n = Number(text)
    if (text.trim() === '' || !Number.isFinite(n) || n < least || (whole && !Number.isInteger(n)))
      throw new InvalidArgumentError(`It must be a ${whole ? 'whole ' : ''}number from ${least}.`)
    return n
  }
