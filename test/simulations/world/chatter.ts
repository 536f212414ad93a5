/** A cluster that does nothing of use, over every port: for faults to strike, and to see whether it works afterwards. */
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { ByteStream } from '../../../runtime/ports/transport.ts'
import type { BrokerFault } from '../../../simulations/broker/faults.ts'
import { applyFaults, type AppliedFaults } from '../../../simulations/world/apply-faults.ts'
import { SimControlBus } from '../../../simulations/world/control-bus.ts'
import type { FaultPlan } from '../../../simulations/world/fault-plan.ts'
import { SimNetwork } from '../../../simulations/world/network.ts'
import { SimHost, type SimProcess } from '../../../simulations/world/process.ts'
import { SimStorage } from '../../../simulations/world/storage.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const ignore = (): void => undefined

/** What went well, by process and kind, with the time of the last. */
export type Successes = Map<string, number>

export class Chatter {
  readonly time = new WorldTime()
  /** Fails at once when it is told to. */
  readonly services = {
    failures: 0,
    disturb: () => {
      this.services.failures++
      return ignore
    }
  }
  readonly network: SimNetwork
  readonly bus: SimControlBus
  readonly storage: SimStorage
  readonly hosts = new Map<string, SimHost>()
  readonly successes: Successes = new Map()
  readonly applied: AppliedFaults
  readonly injected: BrokerFault[] = []
  private readonly random: Prng
  private readonly addresses = new Map<string, string>()

  constructor(seed: number, names: readonly string[], plan: Pick<FaultPlan, 'faults'>) {
    this.random = new Prng(seed)
    this.network = new SimNetwork(this.time, this.random, { giveUpMs: 3_000, connectTimeoutMs: 1_000 })
    this.bus = new SimControlBus(this.time, this.random, { leaseTtlMs: 1_500, requestTimeoutMs: 500 })
    this.storage = new SimStorage(this.time, this.random, { timeoutMs: 500 })
    for (const name of names) this.start(name)
    const hits = new Map<string, number>()
    this.applied = applyFaults(plan, {
      time: this.time,
      network: this.network,
      bus: this.bus,
      storage: this.storage,
      hosts: this.hosts,
      broker: {
        inject: fault => {
          this.injected.push(fault)
          hits.set(fault.kind, (hits.get(fault.kind) ?? 0) + 1)
        },
        faults: { hits }
      },
      services: this.services,
      start: name => this.start(name),
      rescale: () => true,
      savepoint: () => true,
      restore: (_, done) => {
        done()
        return () => undefined
      },
      leave: name => this.hosts.get(name)?.kill()
    })
  }

  private start(name: string): void {
    const host = this.hosts.get(name) ?? new SimHost(this.time, name, this.random)
    this.hosts.set(name, host)
    const process = host.start()
    this.listen(process)
    this.keepLease(process)
    this.keepObjects(process)
    this.keepFiles(process)
    this.talk(process)
    const work = (): void => {
      this.well(process, 'time')
      process.clock.after(100, () => process.clock.yield(work))
    }
    work()
  }

  private well(process: SimProcess, what: string): void {
    this.successes.set(`${process.host.name} ${what}`, this.time.now())
  }
  private pause(process: SimProcess, ms: number): Promise<void> {
    return new Promise(resolve => void process.clock.after(ms, resolve))
  }

  private listen(process: SimProcess): void {
    const transport = this.network.transport(process)
    const accept = (stream: ByteStream): void => stream.onData(data => stream.write(data))
    void transport.listen(accept).then(({ address }) => this.addresses.set(process.host.name, address), ignore)
  }

  /** Says something to each other host, and hears it back; connects again when that takes too long. */
  private talk(process: SimProcess): void {
    const transport = this.network.transport(process)
    const to = async (name: string): Promise<void> => {
      for (;;) {
        const address = this.addresses.get(name)
        if (address === undefined) {
          await this.pause(process, 200)
          continue
        }
        const stream = await transport.connect(address).catch(ignore)
        if (stream !== undefined) await this.echo(process, stream, name)
        await this.pause(process, 300)
      }
    }
    for (const name of ['w1', 'w2', 'w3', 'w4']) if (name !== process.host.name) void to(name)
  }

  private async echo(process: SimProcess, stream: ByteStream, name: string): Promise<void> {
    let open = true
    let heard = 0
    let said = 0
    let silent = 0
    stream.onClose(() => (open = false))
    stream.onData(data => (heard += data.length))
    while (open && silent < 12) {
      if (stream.write(new Uint8Array(300))) said += 300
      const before = heard
      await this.pause(process, 200)
      if (heard > before) this.well(process, `echo ${name}`)
      silent = heard > before ? 0 : silent + 1
    }
    if (said < heard) throw new Error('more came back than was said')
    stream.close()
  }

  private keepLease(process: SimProcess): void {
    const bus = this.bus.bus(process)
    bus.subscribe('all', () => this.well(process, 'bus'))
    const { leases } = bus
    const keep = async (): Promise<void> => {
      for (;;) {
        bus.publish('all', bytes(process.name))
        const read = await leases.get('leader').catch(ignore)
        const mine = read === undefined || new TextDecoder().decode(read.value) === process.name
        if (mine) await leases.put('leader', bytes(process.name), read?.revision).catch(ignore)
        if (read !== undefined) this.well(process, 'lease')
        await this.pause(process, 200)
      }
    }
    void keep()
  }

  private keepObjects(process: SimProcess): void {
    const storage = this.storage.handle(process)
    const keep = async (): Promise<void> => {
      for (let i = 0; ; i++) {
        const name = `objects/${process.name}-${i}`
        if ((await storage.create(name, bytes(name)).catch(ignore)) === 'created') {
          if ((await storage.list('objects').catch(ignore)) !== undefined) this.well(process, 'storage')
          await storage.remove(name).catch(ignore)
        }
        await this.pause(process, 300)
      }
    }
    void keep()
  }

  private keepFiles(process: SimProcess): void {
    const { files } = process
    const keep = async (): Promise<void> => {
      for (;;) {
        try {
          await files.makeFolder('/data')
          await files.writeSynced('/data/file', bytes('content'))
          await files.syncFolder('/data')
          this.well(process, 'files')
        } catch {
          // Told by the next.
        }
        await this.pause(process, 200)
      }
    }
    void keep()
  }
}
