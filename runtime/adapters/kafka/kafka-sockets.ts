/** How the own client gets to brokers: TCP or TLS, and who it says it is. */
import { isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { saslPlain, type SaslExchange } from '../../kafka-protocol/connection-machine.ts'
import { CodedError } from '../../kernel/errors.ts'
import { loadNativeCrc32c } from '../../packages/native-crc32c.ts'
import type { ByteStream } from '../../ports/transport.ts'
import { SocketStream, splitAddress, whenConnected } from '../socket-stream.ts'
import type { KafkaClientOptions } from './kafka-client.ts'
import type { KafkaCluster } from './kafka-options.ts'
import { scramExchange } from './scram.ts'

/** Larger: a broker that swallows connections is given up later. */
const connectTimeoutMs = 5_000
const keepAliveMs = 10_000
/** One request and its records are written at once, so there is nothing to hold back. */
const streamOptions = { highWaterBytes: 1024 * 1024, lingerMs: 5_000 }

/** What `KafkaPublisher` and `KafkaClient` need of a cluster. */
export function reachKafka(cluster: KafkaCluster): Pick<KafkaClientOptions, 'bootstrap' | 'connect' | 'sasl'> {
  const { sasl } = cluster
  loadNativeCrc32c()
  return {
    bootstrap: cluster.brokers,
    connect: address => connect(cluster, address),
    ...(sasl === undefined ? {} : { sasl: () => exchangeOf(sasl) })
  }
}

function exchangeOf({ mechanism, user, password }: NonNullable<KafkaCluster['sasl']>): SaslExchange {
  return mechanism === 'PLAIN' ? saslPlain(user, password) : scramExchange({ mechanism, user, password })
}

async function connect({ tls }: KafkaCluster, address: string): Promise<ByteStream> {
  const target = splitAddress(address)
  if (target === undefined) throw new CodedError('PEER_LOST', `"${address}" is no address of the form host:port`)
  const { host, port } = target
  let socket: Socket
  if (tls === undefined) {
    socket = new Socket()
    socket.connect({ host, port })
  } else
    socket = connectTls({
      host,
      port,
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      ...(isIP(host) === 0 ? { servername: host } : {})
    })
  await whenConnected(socket, tls === undefined ? 'connect' : 'secureConnect', address, connectTimeoutMs)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveMs)
  return new SocketStream(socket, streamOptions)
}
