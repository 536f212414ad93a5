/** A page of ListObjectsV2, of which four elements matter. */
export interface ListingPage {
  readonly keys: readonly string[]
  /** Folders: names up to the next slash, with it. */
  readonly prefixes: readonly string[]
  /** Absent: this is the last page. */
  readonly next: string | undefined
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescape(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex: string, decimal: string, name: string) => {
    if (name !== undefined) return entities[name] ?? whole
    const code = hex === undefined ? Number(decimal) : parseInt(hex, 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

const texts = (xml: string, element: string): string[] =>
  [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map(match => unescape(match[1] ?? ''))

/** undefined: that is no listing. */
export function parseListing(xml: string): ListingPage | undefined {
  if (!/<ListBucketResult[\s/>]/.test(xml)) return undefined
  const [truncated] = texts(xml, 'IsTruncated')
  const [next] = texts(xml, 'NextContinuationToken')
  if (truncated === 'true' && (next ?? '') === '') return undefined
  return {
    keys: texts(xml, 'Key'),
    // What stands before the first of them is the prefix that was asked for.
    prefixes: xml
      .split('<CommonPrefixes>')
      .slice(1)
      .flatMap(part => texts(part, 'Prefix').slice(0, 1)),
    next: truncated === 'true' ? next : undefined
  }
}

/** Code and message of an S3 error; empty where the body holds none. */
export function parseError(xml: string): { readonly code: string; readonly message: string } {
  return { code: texts(xml, 'Code')[0] ?? '', message: texts(xml, 'Message')[0] ?? '' }
}
