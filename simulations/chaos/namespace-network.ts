/**
 * Network namespaces of Linux, joined by a bridge: every worker is a machine of its own to the kernel, and what is cut are packets.
 * Connections know nothing of it: they send again, wait, and give up by themselves, or go on where they were.
 *
 *   w1: eth0 10.77.0.1 ──┐
 *   w2: eth0 10.77.0.2 ──┤ bridge 10.77.0.254: nats-server, and this process
 *   …                    ┘
 *
 * This process is in a namespace of its own (`insideNamespace`), so the machine's own network is not touched, and nothing leaves it. A
 * namespace lives as long as its first process does, which ends with this one.
 *
 * Packets to a neighbour are thrown away by telling the sender's kernel an Ethernet address for it that nobody has; `cut` is a route
 * that says it is unreachable.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { ChaosNetwork, Cut, Place } from './network.ts'

const prefix = '10.77.0'
const hub = `${prefix}.254`
const nobody = '02:00:00:00:00:ff'
/** In its own namespace a worker may have any. */
const port = 7_000
const mark = 'CAIRN_CHAOS_NAMESPACE'

/** Who may make namespaces only as root of a user namespace, makes one of these, too. */
function unshare(): readonly string[] | undefined {
  for (const flags of [['--net'], ['--net', '--map-root-user']]) {
    const { status } = spawnSync('unshare', [...flags, 'sh', '-c', 'ip link add type bridge && command -v nsenter'])
    if (status === 0) return ['unshare', ...flags]
  }
  return undefined
}

/** This machine lets us make namespaces, and has `unshare`, `nsenter` and `ip`. */
export const namespacesAllowed = (): boolean => process.platform === 'linux' && unshare() !== undefined

/** Runs this very program in a namespace, and answers its exit code; undefined: this process is in one already. */
export async function insideNamespace(): Promise<number | undefined> {
  if (process.env[mark] !== undefined) return undefined
  const [command, ...flags] = unshare() ?? []
  if (command === undefined)
    throw new Error(
      'this machine allows no network namespaces, or lacks unshare, nsenter (util-linux) or ip (iproute2); use --network proxies'
    )
  const child = spawn(command, [...flags, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [mark]: '1' }
  })
  process.on('exit', () => child.kill('SIGTERM'))
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 130
}

interface Machine {
  readonly address: string
  /** Lives as long as the namespace is to. */
  readonly holder: ChildProcess
}

export class NamespaceNetwork implements ChaosNetwork {
  /** Where nats-server is to listen. */
  static readonly hub = hub
  readonly name = 'namespaces'
  private readonly natsPort: number
  private readonly machines = new Map<string, Machine>()
  private readonly cuts = new Set<() => void>()

  constructor(natsPort: number) {
    this.natsPort = natsPort
  }

  /** Before anything listens at the hub. */
  static prepare(): void {
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'bridge', 'type', 'bridge')
    ip('address', 'add', `${hub}/24`, 'dev', 'bridge')
    ip('link', 'set', 'bridge', 'up')
  }

  async place(worker: string): Promise<Place> {
    const number = this.machines.size + 1
    const address = `${prefix}.${number}`
    // It ends when its input does: with this process, whatever ends that.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; read line'], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'exit').then(() => Promise.reject(new Error(`no namespace could be made for "${worker}"`)))
    ])
    const pid = String(holder.pid)
    this.machines.set(worker, { address, holder })
    ip('link', 'add', `v${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid)
    ip('link', 'set', `v${number}`, 'master', 'bridge', 'up')
    this.at(worker, 'link', 'set', 'lo', 'up')
    this.at(worker, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    this.at(worker, 'link', 'set', 'eth0', 'up')
    return {
      listen: `${address}:${port}`,
      advertise: `${address}:${port}`,
      nats: `${hub}:${this.natsPort}`,
      within: ['nsenter', `--net=/proc/${pid}/ns/net`]
    }
  }

  cut(a: string, b: string, how: Cut): () => void {
    const [caller, target] = a < b ? [a, b] : [b, a]
    return this.between(caller, this.addressOf(caller), target, this.addressOf(target), how)
  }

  cutNats(worker: string, how: Cut): () => void {
    return this.between(worker, this.addressOf(worker), undefined, hub, how)
  }

  heal(): void {
    for (const heal of [...this.cuts]) heal()
  }

  async close(): Promise<void> {
    for (const { holder } of this.machines.values()) {
      const exit = once(holder, 'exit')
      holder.stdin?.end()
      await exit
    }
    ip('link', 'delete', 'bridge')
  }

  /** `undefined`: the hub. */
  private between(
    caller: string,
    callerAddress: string,
    target: string | undefined,
    targetAddress: string,
    how: Cut
  ): () => void {
    const undo: (() => void)[] = []
    const lose = (who: string | undefined, address: string): void => {
      const device = who === undefined ? 'bridge' : 'eth0'
      this.at(who, 'neighbour', 'replace', address, 'lladdr', nobody, 'dev', device, 'nud', 'permanent')
      undo.push(() => this.at(who, 'neighbour', 'delete', address, 'dev', device))
    }
    const refuse = (who: string | undefined, address: string): void => {
      this.at(who, 'route', 'add', 'unreachable', `${address}/32`)
      undo.push(() => this.at(who, 'route', 'delete', 'unreachable', `${address}/32`))
    }
    const stop = how === 'cut' ? refuse : lose
    if (how !== 'swallow-down') stop(caller, targetAddress)
    if (how !== 'swallow-up') stop(target, callerAddress)
    const heal = (): void => {
      if (this.cuts.delete(heal)) for (const each of undo) each()
    }
    this.cuts.add(heal)
    return heal
  }

  private addressOf(worker: string): string {
    return this.machine(worker).address
  }

  private machine(worker: string): Machine {
    const machine = this.machines.get(worker)
    if (machine === undefined) throw new Error(`worker "${worker}" has no place in this network`)
    return machine
  }

  /** At a worker; undefined: at the hub. */
  private at(worker: string | undefined, ...args: string[]): void {
    if (worker === undefined) return ip(...args)
    execFileSync('nsenter', [`--net=/proc/${this.machine(worker).holder.pid}/ns/net`, 'ip', ...args])
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args)
}
