/** A measurement in a process of its own (`measure.ts`), which ends with this one and leaves no file behind. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Spec } from './measure.ts'

const measureFile = fileURLToPath(new URL('./measure.js', import.meta.url))
const running = new Map<ChildProcess, string>()
const removed = (folder: string): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
process.on('exit', () => {
  for (const [child, folder] of running) {
    child.kill('SIGKILL')
    removed(folder)
  }
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

/** @param heapMiB of the process at most; default: Node's own */
export async function apart<T>(spec: Spec, heapMiB?: number): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-'))
  const heap = heapMiB === undefined ? [] : [`--max-old-space-size=${Math.ceil(heapMiB)}`]
  const child = spawn(process.execPath, ['--expose-gc', ...heap, measureFile, JSON.stringify(spec)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder }
  })
  running.set(child, folder)
  try {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    if (code !== 0) throw new Error(`measuring ${JSON.stringify(spec)} ended with ${code ?? signal}`)
    return JSON.parse(text) as T
  } finally {
    running.delete(child)
    removed(folder)
  }
}
