/** Connections to a broker of which one request can be lost on its way there, or its answer on its way back. */
import type { ByteStream } from '../../runtime/ports/transport.ts'

export type Cut = 'before' | 'after'

const apiKeyAt = 4

export class StreamCutter {
  private armed: { readonly key: number; readonly when: Cut } | undefined

  /** The next request of that kind. The connection breaks then. */
  arm(key: number, when: Cut): void {
    this.armed = { key, when }
  }

  around(connect: (address: string) => Promise<ByteStream>): (address: string) => Promise<ByteStream> {
    return async address => {
      const stream = await connect(address)
      let deaf = false
      let tell: (reason: string) => void = () => undefined
      const broken = (): void => {
        stream.close()
        tell('cut')
      }
      return {
        write: bytes => {
          const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
          const { armed } = this
          if (armed === undefined || view.getInt16(apiKeyAt) !== armed.key) return stream.write(bytes)
          this.armed = undefined
          deaf = true
          if (armed.when === 'after') return stream.write(bytes)
          queueMicrotask(broken)
          return true
        },
        onData: callback =>
          stream.onData(bytes => {
            // The answer has come, so what was asked is done; nobody hears it.
            if (deaf) broken()
            else callback(bytes)
          }),
        onDrain: callback => stream.onDrain(callback),
        onClose: callback => {
          tell = callback
          stream.onClose(callback)
        },
        close: () => stream.close()
      }
    }
  }
}
