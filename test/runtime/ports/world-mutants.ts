/** Planted bugs in storage, transport and control bus, each of which its conformance suite must notice. */
import type { Test } from 'tap'
import type { CheckpointStorage } from '../../../checkpoint/storage.ts'
import type { ControlBus, LeaseBucket } from '../../../runtime/ports/control-bus.ts'
import type { ByteStream, Transport } from '../../../runtime/ports/transport.ts'
import { testControlBus } from './control-bus-conformance.ts'
import { testStorage } from './storage-conformance.ts'
import { testTransport } from './transport-conformance.ts'
import { simulatedControlBus, simulatedStorage, simulatedTransport } from './world-subjects.ts'

type Mutate<T> = (truth: T) => T

/** `none` is the control: it passes. */
const storages = {
  none: truth => truth,
  'create overwrites': truth => ({
    ...truth,
    create: async (name, bytes) => {
      if ((await truth.create(name, bytes)) === 'created') return 'created'
      await truth.remove(name)
      await truth.create(name, bytes)
      return 'exists'
    }
  }),
  'looks, then creates': truth => ({
    ...truth,
    create: async (name, bytes) => {
      if ((await truth.read(name)) !== undefined) return 'exists'
      await truth.create(name, bytes)
      return 'created'
    }
  }),
  'repeats its own create as if it were new': truth => {
    const mine = new Set<string>()
    return {
      ...truth,
      create: async (name, bytes) => {
        const told = await truth.create(name, bytes)
        if (told === 'created') mine.add(name)
        return mine.has(name) ? 'created' : told
      }
    }
  },
  'reads from a cache of its own': truth => {
    const known = new Map<string, Uint8Array | undefined>()
    return {
      ...truth,
      read: async name => {
        if (!known.has(name)) known.set(name, await truth.read(name))
        return known.get(name)
      }
    }
  },
  'a range is cut short in silence': truth => ({
    ...truth,
    readRange: async (name, offset, length) =>
      ((await truth.read(name)) ?? new Uint8Array()).slice(offset, offset + length)
  }),
  'lists by prefix': truth => ({
    ...truth,
    list: async folder => [...(await truth.list(folder)), ...(await truth.list(`${folder}2`))].sort()
  }),
  'lists in any order': truth => ({ ...truth, list: async folder => [...(await truth.list(folder))].reverse() }),
  'lists whole names': truth => ({
    ...truth,
    list: async folder => (await truth.list(folder)).map(name => `${folder}/${name}`)
  }),
  'does not remove': truth => ({ ...truth, remove: async () => undefined }),
  'removing what is not there is an error': truth => ({
    ...truth,
    remove: async name => {
      if ((await truth.read(name)) === undefined) throw new Error('ENOENT')
      await truth.remove(name)
    }
  }),
  'names lead anywhere': truth => ({
    ...truth,
    create: (name, bytes) =>
      truth.create(
        name
          .split('/')
          .filter(part => /[a-z]/.test(part))
          .join('/') || 'x',
        bytes
      )
  })
} satisfies Record<string, Mutate<CheckpointStorage>>

/** Changes every stream of a transport. */
const streams =
  (change: (stream: ByteStream) => ByteStream): Mutate<Transport> =>
  truth => ({
    listen: accept => truth.listen(stream => accept(change(stream))),
    connect: async address => change(await truth.connect(address))
  })

/** All but `change` goes to the stream. */
const changed = (stream: ByteStream, change: Partial<ByteStream>): ByteStream => ({
  write: bytes => stream.write(bytes),
  onData: callback => stream.onData(callback),
  onDrain: callback => stream.onDrain(callback),
  onClose: callback => stream.onClose(callback),
  close: () => stream.close(),
  ...change
})

const transports = {
  none: truth => truth,
  'loses a chunk': streams(stream => {
    let chunks = 0
    return changed(stream, {
      onData: callback =>
        stream.onData(bytes => {
          if (++chunks !== 7) callback(bytes)
        })
    })
  }),
  'gives a chunk twice': streams(stream => {
    let chunks = 0
    return changed(stream, {
      onData: callback =>
        stream.onData(bytes => {
          if (++chunks === 5) callback(bytes)
          callback(bytes)
        })
    })
  }),
  'swaps two chunks': streams(stream => {
    let chunks = 0
    let held: Uint8Array | undefined
    return changed(stream, {
      onData: callback =>
        stream.onData(bytes => {
          if (++chunks === 3) held = bytes
          else {
            callback(bytes)
            if (held !== undefined) callback(held)
            held = undefined
          }
        })
    })
  }),
  'never says that it is full': streams(stream =>
    changed(stream, {
      write: bytes => {
        stream.write(bytes)
        return true
      }
    })
  ),
  'never says that it has drained': streams(stream => changed(stream, { onDrain: () => undefined })),
  'forgets what came before anybody listened': streams(stream => {
    let listener: ((bytes: Uint8Array) => void) | undefined
    stream.onData(bytes => listener?.(bytes))
    return changed(stream, { onData: callback => (listener = callback) })
  }),
  'tells of the end twice': streams(stream =>
    changed(stream, {
      onClose: callback =>
        stream.onClose(reason => {
          callback(reason)
          callback(reason)
        })
    })
  ),
  'tells who closed': streams(stream => {
    let told: (reason: string) => void = () => undefined
    return changed(stream, {
      onClose: callback => stream.onClose((told = callback)),
      close: () => {
        stream.close()
        told('closed')
      }
    })
  }),
  'a close drops what was not sent yet': streams(stream => {
    let held: Uint8Array | undefined
    const flush = (): boolean => {
      const last = held
      held = undefined
      return last === undefined || stream.write(last)
    }
    return changed(stream, {
      write: bytes => {
        const room = flush()
        held = bytes
        queueMicrotask(flush)
        return room
      }
    })
  }),
  'one address for all listeners': truth => {
    let first: Promise<{ readonly address: string; close(): Promise<void> }> | undefined
    return { ...truth, listen: accept => (first ??= truth.listen(accept)) }
  },
  'connects to nobody': truth => ({
    ...truth,
    connect: address =>
      truth.connect(address).catch(() => changed({} as ByteStream, { write: () => true, onData: () => undefined }))
  }),
  'a listener that was closed still listens': truth => ({
    ...truth,
    listen: async accept => ({ ...(await truth.listen(accept)), close: () => Promise.resolve() })
  })
} satisfies Record<string, Mutate<Transport>>

const leases = (truth: ControlBus, change: Partial<LeaseBucket>): ControlBus =>
  bus(truth, {
    leases: {
      get: key => truth.leases.get(key),
      put: (key, value, revision) => truth.leases.put(key, value, revision),
      remove: (key, revision) => truth.leases.remove(key, revision),
      ...change
    }
  })
const bus = (truth: ControlBus, change: Partial<ControlBus>): ControlBus => ({
  publish: (subject, bytes) => truth.publish(subject, bytes),
  subscribe: (subject, deliver) => truth.subscribe(subject, deliver),
  leases: truth.leases,
  get connected() {
    return truth.connected
  },
  close: () => truth.close(),
  ...change
})

const buses = {
  none: truth => truth,
  'tells everything twice': truth =>
    bus(truth, {
      publish: (subject, bytes) => {
        truth.publish(subject, bytes)
        truth.publish(subject, bytes)
      }
    }),
  'loses one in ten': truth => {
    let count = 0
    return bus(truth, {
      publish: (subject, bytes) => {
        if (++count % 10 !== 0) truth.publish(subject, bytes)
      }
    })
  },
  'does not tell the sender': truth => {
    let mine: string | undefined
    return bus(truth, {
      publish: (subject, bytes) => {
        mine = new TextDecoder().decode(bytes)
        truth.publish(subject, bytes)
      },
      subscribe: (subject, deliver) =>
        truth.subscribe(subject, bytes => {
          if (new TextDecoder().decode(bytes) !== mine || mine === '?') deliver(bytes)
        })
    })
  },
  'subjects are prefixes': truth =>
    bus(truth, {
      publish: (subject, bytes) => truth.publish(subject.slice(0, 5), bytes),
      subscribe: (subject, deliver) => truth.subscribe(subject.slice(0, 5), deliver)
    }),
  'one buffer for all listeners': truth => {
    const listeners = new Map<string, Set<(bytes: Uint8Array) => void>>()
    return bus(truth, {
      subscribe: (subject, deliver) => {
        const known = listeners.get(subject)
        if (known !== undefined) {
          known.add(deliver)
          return () => known.delete(deliver)
        }
        const all = new Set([deliver])
        listeners.set(subject, all)
        return truth.subscribe(subject, bytes => {
          for (const each of all) each(bytes)
        })
      }
    })
  },
  'goes on telling after the end': truth =>
    bus(truth, {
      subscribe: (subject, deliver) => {
        truth.subscribe(subject, deliver)
        return () => undefined
      }
    }),
  'sends what the buffer becomes': truth =>
    bus(truth, {
      publish: (subject, bytes) => queueMicrotask(() => truth.publish(subject, bytes))
    }),
  'is always connected': truth => bus(truth, { connected: true }),
  'answers while the bus is away': truth => leases(truth, { get: key => truth.leases.get(key).catch(() => undefined) }),
  'writes whatever the revision': truth =>
    leases(truth, {
      put: async (key, value) => truth.leases.put(key, value, (await truth.leases.get(key))?.revision)
    }),
  'takes "not there" for "any"': truth =>
    leases(truth, {
      put: async (key, value, revision) =>
        truth.leases.put(key, value, revision ?? (await truth.leases.get(key))?.revision)
    }),
  'removes whatever the revision': truth =>
    leases(truth, {
      remove: async key => truth.leases.remove(key, (await truth.leases.get(key))?.revision ?? 0)
    }),
  'keys never vanish': truth => {
    const known = new Map<string, { readonly value: Uint8Array; readonly revision: number }>()
    return leases(truth, {
      get: async key => {
        const read = await truth.leases.get(key)
        if (read !== undefined) known.set(key, read)
        return read ?? known.get(key)
      },
      remove: async (key, revision) => {
        if (known.get(key)?.revision === revision) known.delete(key)
        await truth.leases.remove(key, revision)
      }
    })
  },
  'one key for all': truth =>
    leases(truth, {
      get: () => truth.leases.get('key'),
      put: (_, value, revision) => truth.leases.put('key', value, revision)
    })
} satisfies Record<string, Mutate<ControlBus>>

interface Mutant {
  readonly name: string
  readonly suite: (t: Test) => Promise<void>
}

export const worldMutants: readonly Mutant[] = [
  ...Object.entries(storages).map(([name, mutate]) => ({
    name: `storage: ${name}`,
    suite: (t: Test) => testStorage(t, async () => simulatedStorage(mutate))
  })),
  ...Object.entries(transports).map(([name, mutate]) => ({
    name: `transport: ${name}`,
    suite: (t: Test) => testTransport(t, async () => simulatedTransport(mutate))
  })),
  ...Object.entries(buses).map(([name, mutate]) => ({
    name: `control bus: ${name}`,
    suite: (t: Test) => testControlBus(t, async () => simulatedControlBus(mutate))
  }))
]
