/** A TCP proxy that loses answers: what was asked arrives, and the connection ends before anything of the answer does. */
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

export class CuttingProxy {
  readonly port: number
  /** How many answers are still to be lost. */
  cuts = 0
  lost = 0
  private readonly sockets = new Set<Socket>()

  private constructor(port: number) {
    this.port = port
  }

  static async start(t: Test, target: number): Promise<CuttingProxy> {
    const accept = (client: Socket): void => proxy.accept(client, target)
    const server = createServer(client => accept(client))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const proxy = new CuttingProxy((server.address() as AddressInfo).port)
    t.teardown(() => {
      for (const socket of proxy.sockets) socket.destroy()
      server.close()
    })
    return proxy
  }

  private accept(client: Socket, target: number): void {
    const server = createConnection(target, '127.0.0.1')
    for (const [one, other] of [
      [client, server],
      [server, client]
    ] as const) {
      this.sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        this.sockets.delete(one)
        other.destroy()
      })
    }
    client.on('data', chunk => server.write(chunk))
    server.on('data', chunk => {
      if (this.cuts === 0) return void client.write(chunk)
      this.cuts--
      this.lost++
      client.destroy()
    })
  }
}
