/** The durable maps of one key, as state files hold them; for people. */
import { decodeMapKey } from '../actors/map-entries.ts'
import { decodeValue } from '../actors/state-codec.ts'
import { ByteReader, equalBytes } from '../runtime/kernel/bytes.ts'
import { readEscaped } from '../runtime/kernel/ordered-bytes.ts'

/** A durable map is there because it may be larger than memory, and so than an answer. */
const shownEntries = 100

/** What a durableMap field holds: its first entries. */
export class MapView {
  readonly entries: (readonly [string | number, unknown])[] = []
  more = 0
}

export class StoredMaps {
  private readonly keyBytes: Uint8Array
  private readonly fields = new Map<string, MapView>()

  constructor(keyBytes: Uint8Array) {
    this.keyBytes = keyBytes
  }

  /** Takes a record of a map (in the order of their keys), if it is of this key and has not outlived its time. */
  add(key: Uint8Array, value: Uint8Array): void {
    const reader = new ByteReader(key, 1)
    if (!equalBytes(readEscaped(reader), this.keyBytes)) return
    const view = this.field(new TextDecoder().decode(readEscaped(reader)))
    const stored = new ByteReader(value)
    if (stored.f64() <= Date.now()) return
    if (view.entries.length >= shownEntries) view.more++
    else view.entries.push([decodeMapKey(reader.bytes(reader.remaining)), decodeValue(stored)])
  }

  field(name: string): MapView {
    let view = this.fields.get(name)
    if (view === undefined) this.fields.set(name, (view = new MapView()))
    return view
  }
}
