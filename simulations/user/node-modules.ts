/** What `import … from 'node:…'` gives a job that is simulated: pure modules as they are, the world's time and chance, the rest refused. */
import { createRequire } from 'node:module'
import { fillRandom, randomUUID, refusing, type CodeHost } from './world-globals.ts'

const real = createRequire(import.meta.url)

/** Reach nothing but memory. */
const pure = new Set([
  'assert',
  'assert/strict',
  'async_hooks',
  'buffer',
  'constants',
  'diagnostics_channel',
  'events',
  'path',
  'path/posix',
  'path/win32',
  'punycode',
  'querystring',
  'stream',
  'stream/promises',
  'stream/web',
  'string_decoder',
  'url',
  'util',
  'util/types'
])
/** Of `crypto`: functions of their arguments, at once. */
const pureCrypto =
  /^(create(Hash|Hmac|Cipheriv|Decipheriv|Sign|Verify|SecretKey|PublicKey|PrivateKey)|timingSafeEqual|get(Hashes|Ciphers|Curves|CipherInfo)|(hkdf|pbkdf2|scrypt)Sync|constants|Hash|Hmac|KeyObject)$/

type Module = Record<string, unknown>

/** Undefined: not a module of Node. */
export function nodeModule(name: string, host: CodeHost, globals: Readonly<Module>): unknown {
  const bare = name.replace(/^node:/, '')
  if (pure.has(bare)) return real(bare)
  const given = worldModules[bare]
  if (given !== undefined) return given(host, globals)
  let found: Module
  try {
    found = real(`node:${bare}`) as Module
  } catch {
    return undefined
  }
  return refusedModule(`node:${bare}`, found, host, bare === 'zlib' ? /Sync$|^constants$|^crc32$/ : /^constants$/)
}

const worldModules: Readonly<Record<string, (host: CodeHost, globals: Readonly<Module>) => unknown>> = {
  process: (_, globals) => globals['process'],
  console: (_, globals) => globals['console'],
  perf_hooks: (_, { performance }) => ({ performance }),
  timers: (_, globals) => timersOf(globals),
  'timers/promises': (host, globals) => promisedTimers(host, globals),
  crypto: (host, globals) => worldCryptoModule(host, globals),
  os: host => ({
    ...refusedModule('node:os', real('os') as Module, host, /^(EOL|constants|devNull)$/),
    hostname: () => host.name,
    platform: () => process.platform,
    arch: () => process.arch,
    cpus: () => [],
    availableParallelism: () => 1
  })
}

/** Named values are there, so that what imports it can be loaded; using one is refused. */
function refusedModule(name: string, found: Module, host: CodeHost, allowed: RegExp): Module {
  const refuse = (what: string): never => host.refuse(what)
  return Object.fromEntries(
    Object.keys(found).map(key => {
      const passes = allowed.test(key) || !['object', 'function'].includes(typeof found[key])
      return [key, passes ? found[key] : refusing(`${name}.${key}`, refuse)]
    })
  )
}

function timersOf(globals: Readonly<Module>): Module {
  const names = ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate']
  return Object.fromEntries(names.map(name => [name, globals[name]]))
}

function promisedTimers(host: CodeHost, globals: Readonly<Module>): Module {
  const setTimeout = globals['setTimeout'] as (callback: () => void, delayMs?: number) => unknown
  const later = (delayMs?: number, value?: unknown): Promise<unknown> =>
    new Promise(resolve => setTimeout(() => resolve(value), delayMs))
  return {
    setTimeout: later,
    setImmediate: (value?: unknown) => later(0, value),
    setInterval: refusing('node:timers/promises.setInterval', what => host.refuse(what)),
    scheduler: { wait: (delayMs: number) => later(delayMs), yield: () => later(0) }
  }
}

function worldCryptoModule(host: CodeHost, globals: Readonly<Module>): Module {
  const randomBytes = (size: number, callback?: (error: null, bytes: Buffer) => void): Buffer | undefined => {
    const bytes = fillRandom(host, Buffer.alloc(size))
    if (callback === undefined) return bytes
    host.after(0, () => callback(null, bytes))
    return undefined
  }
  const randomInt = (least: number, limit?: number): number => {
    host.asked('chance')
    return limit === undefined ? host.random.int(least) : least + host.random.int(limit - least)
  }
  return {
    ...refusedModule('node:crypto', real('crypto') as Module, host, pureCrypto),
    randomUUID: () => randomUUID(host),
    randomBytes,
    randomInt,
    randomFillSync: (view: ArrayBufferView) => fillRandom(host, view),
    getRandomValues: (view: ArrayBufferView) => fillRandom(host, view),
    webcrypto: globals['crypto']
  }
}
