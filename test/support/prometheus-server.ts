/** A real Prometheus on loopback, for one test. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { service } from './services.ts'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

export class PrometheusServer {
  private readonly url: string

  private constructor(url: string) {
    this.url = url
  }

  /** Scrapes the targets (`host:port`) every half second. Stopped with the test. */
  static async start(t: Test, targets: readonly string[]): Promise<PrometheusServer> {
    const folder = await mkdtemp(join(tmpdir(), 'cairn-prometheus-'))
    const configuration = {
      scrape_configs: [{ job_name: 'cairn', scrape_interval: '500ms', static_configs: [{ targets }] }]
    }
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(configuration))
    const child = spawn(
      service('prometheus'),
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        '--web.listen-address=127.0.0.1:0'
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] }
    )
    running.add(child)
    const exit = once(child, 'exit')
    t.teardown(async () => {
      child.kill('SIGKILL')
      await exit
      running.delete(child)
      await rm(folder, { recursive: true, force: true })
    })
    let log = ''
    const address = await new Promise<string>((resolve, reject) => {
      child.stderr.on('data', chunk => {
        log += String(chunk)
        const [, found] = /msg="Listening on" address=(\S+)/.exec(log) ?? []
        if (found !== undefined) resolve(found)
      })
      child.once('error', reject)
      child.once('exit', code => reject(new Error(`prometheus ended with code ${code}:\n${log}`)))
    })
    return new PrometheusServer(`http://${address}`)
  }

  /** Rejects with what Prometheus has against the expression. */
  async query(expression: string): Promise<readonly Series[]> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(expression)}`)
    const { data, error } = (await response.json()) as {
      readonly data?: { readonly result: readonly Series[] }
      readonly error?: string
    }
    if (data === undefined) throw new Error(`${expression}: ${error ?? response.status}`)
    return data.result
  }

  /** Asks until something comes. */
  async queryUntil(expression: string): Promise<readonly Series[]> {
    for (;;) {
      const found = await this.query(expression).catch((error: unknown) => {
        // It answers so while it begins.
        if (String(error).includes('503')) return []
        throw error
      })
      if (found.length > 0) return found
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** Resolves with what promtool says, and whether it is content. */
export async function promtool(
  { input = '' }: { readonly input?: string },
  ...args: string[]
): Promise<{ readonly ok: boolean; readonly text: string }> {
  const child = spawn(join(dirname(service('prometheus')), 'promtool'), args, { stdio: 'pipe' })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += String(chunk)))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { ok: code === 0, text }
}
