/** A driver whose job runs in a process of the built command line: fed through topics, killed for good, read from disk. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DirectoryLineages } from '../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import type { ActorClass } from '../../actors/actor.ts'
import type { ValueCodec } from '../../actors/connectors.ts'
import type { Job } from '../../actors/stream.ts'
import { ControlClient } from '../../deploy/control-client.ts'
import { askJob } from '../../deploy/job-answers.ts'
import type { JobReference } from '../../deploy/job-reference.ts'
import type { ParkedShown, QuarantineLine } from '../../deploy/quarantine.ts'
import type { ParkedLine, QuarantineAnswer } from '../../runtime/core/quarantine.ts'
import type { Driven, Driver } from '../../simulations/driver/index.ts'
import { root } from '../deploy/cairn-cli.ts'
import { inputTopic, lettersTopic, outputTopic, valueCodec } from './found-job.ts'
import type { Wanted } from './test-stage.ts'

const bin = join(root, 'deploy/bin/cairn.cjs')
/** Records of one request to a running job. */
const pageRecords = 1000

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>
}

export class ProcessDriver {
  private readonly job: Job<unknown>
  private readonly wanted: Wanted
  private readonly folder = mkdtempSync(join(tmpdir(), 'cairn-drive-'))
  private readonly reference: JobReference & { readonly folder: string }
  private readonly pushed = new Map<string, { waiting: string[]; appended: number }>()
  private readonly outputs = new Map<string, { read: number; values: unknown[]; codec: ValueCodec }>()
  private readonly ended = new Set<string>()
  private commands = 0

  constructor(job: Job<unknown>, wanted: Wanted) {
    this.job = job
    this.wanted = wanted
    const folder = join(this.folder, job.name)
    const lineages = new DirectoryLineages(nodeFiles, folder)
    this.reference = { name: job.name, folder, lineages, plan: undefined }
    process.on('exit', () => rmSync(this.folder, { recursive: true, force: true }))
    const found = new URL('found-job.js', import.meta.url).href
    writeFileSync(
      join(this.folder, 'job.mjs'),
      `const found = ${JSON.stringify(found)}\nexport default await (await import(found)).foundJob()\n`
    )
    for (const node of job.plan.nodes) {
      if (node.kind === 'source') this.pushed.set(node.name, { waiting: [], appended: 0 })
      if (node.kind === 'sink') this.output(outputTopic(node.name), node.sink.codec)
    }
    for (const handle of Object.values(job.plan.handles))
      if (handle.kind === 'stream') this.output(outputTopic(handle.name), valueCodec)
    this.output(lettersTopic, job.plan.deadLetters.codec)
  }

  driven<H>(): Driver & Driven<H> {
    const driver: Driver = {
      advance: () => Promise.reject(new Error('a process has no virtual time: put this test on the list')),
      settle: () => this.settle(),
      checkpoint: () => this.settle(),
      crash: () => this.crash(),
      state: (actor: ActorClass, key: unknown) => this.state(nameOf(actor), key) as never,
      deadLetters: () => this.take(lettersTopic),
      quarantine: {
        list: actor => this.parked(nameOf(actor)),
        retry: (actor, key) => this.operate('retry', nameOf(actor), key),
        edit: (actor, key, event) => this.operate('edit', nameOf(actor), key, event),
        drop: (actor, key) => this.operate('drop', nameOf(actor), key),
        dropAll: (actor, key) => this.operate('drop-all', nameOf(actor), key)
      }
    }
    const handles = Object.entries(this.job.plan.handles).map(([name, handle]): [string, unknown] => {
      if (handle.kind !== 'source') return [name, { take: () => this.take(outputTopic(handle.name)) }]
      return [
        name,
        {
          push: (...values: unknown[]) => this.push(handle.name, values),
          watermark() {
            throw new Error('a topic promises nothing: put this test on the list')
          },
          end: () => this.ended.add(handle.name)
        }
      ]
    })
    return Object.assign(driver, Object.fromEntries(handles)) as Driver & Driven<H>
  }

  private output(topic: string, codec: ValueCodec): void {
    this.outputs.set(topic, { read: 0, values: [], codec })
  }

  private push(source: string, values: readonly unknown[]): void {
    this.pushed.get(source)?.waiting.push(...values.map(value => Buffer.from(valueCodec.encode(value)).toString()))
  }

  /** Begins a process, waits until it has read everything, drains it, and reads what came out. */
  private async settle(): Promise<void> {
    await this.append()
    const running = this.start()
    let over = false
    const ended = running.ended.finally(() => (over = true))
    const client = await this.connect(() => over)
    if (client !== undefined)
      try {
        while (!(await this.hasReadAll(client)));
        // Where every source ends, so does the job, by itself.
        if (this.ended.size < this.pushed.size) await client.ask({ kind: 'drain' })
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'NOT_RUNNING') throw error
      } finally {
        client.close()
      }
    const { code, stderr } = await ended
    await this.read()
    if (code !== 0) throw failureOf(stderr)
  }

  /** Killed as soon as it answers, so in the middle of what was pushed. */
  private async crash(): Promise<void> {
    await this.append()
    const running = this.start()
    let over = false
    const ended = running.ended.finally(() => (over = true))
    const client = await this.connect(() => over)
    client?.close()
    running.child.kill('SIGKILL')
    await ended
    await this.settle()
  }

  private start(): Running {
    const environment = Object.entries(process.env).filter(([name]) => !/^(CAIRN_|NODE_OPTIONS$|TAP)/.test(name))
    const child = spawn(process.execPath, [bin, 'run', 'job.mjs', '--check', '--storage', '.'], {
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...Object.fromEntries(environment),
        DRIVE_WANTED: JSON.stringify(this.wanted),
        DRIVE_ENDED: JSON.stringify([...this.ended])
      }
    })
    let stderr = ''
    child.stderr.on('data', chunk => (stderr += String(chunk)))
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    const ended = new Promise<{ code: number | null; stderr: string }>(resolve =>
      child.on('close', code => {
        process.off('exit', kill)
        resolve({ code, stderr })
      })
    )
    return { child, ended }
  }

  private async connect(isOver: () => boolean): Promise<ControlClient | undefined> {
    while (!isOver()) {
      const client = await ControlClient.open(this.reference.folder)
      if (client !== undefined) return client
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    return undefined
  }

  private async hasReadAll(client: ControlClient): Promise<boolean> {
    const { epoch } = await client.ask<'checkpoint-create'>({ kind: 'checkpoint-create' })
    if (epoch === 0) return [...this.pushed.values()].every(({ appended }) => appended === 0)
    const { sources } = await client.ask<'checkpoint-inspect'>({ kind: 'checkpoint-inspect', epoch })
    return sources.every(
      ({ name, partitions }) =>
        this.ended.has(name) || (partitions[0]?.position ?? 0) >= (this.pushed.get(name)?.appended ?? 0)
    )
  }

  private async append(): Promise<void> {
    for (const [source, input] of this.pushed) {
      const topic = inputTopic(source)
      do {
        const records = input.waiting.splice(0, pageRecords).map(value => ({ value }))
        await askJob<'log-append'>(this.reference, { kind: 'log-append', topic, partition: 0, partitions: 1, records })
        input.appended += records.length
      } while (input.waiting.length > 0)
    }
  }

  private async read(): Promise<void> {
    const topics = await askJob<'topics'>(this.reference, { kind: 'topics' })
    for (const [topic, output] of this.outputs) {
      if (!topics.some(each => each.topic === topic)) continue
      for (;;) {
        const { records, positions } = await askJob<'log-read'>(this.reference, {
          kind: 'log-read',
          topic,
          positions: [output.read],
          limit: pageRecords,
          waitMs: 0
        })
        output.read = positions[0] ?? 0
        if (records.length === 0) break
        for (const { value } of records) output.values.push(value === null ? undefined : decoded(value, output.codec))
      }
    }
  }

  private take(topic: string): unknown[] {
    return this.outputs.get(topic)?.values.splice(0) ?? []
  }

  private state(stage: string, key: unknown): unknown {
    return this.ask('state', 'get', this.job.name, stage, JSON.stringify(key), '--key-json')
  }

  /** What the command line answers of what is stored; undefined where nothing is found. */
  private ask(...args: readonly string[]): unknown {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [bin, ...args, '--storage', '.', '--output', 'json'],
      { cwd: this.folder, encoding: 'utf8' }
    )
    if (status === 0) return JSON.parse(stdout)
    if (/^cairn: NOT_FOUND: /m.test(stderr)) return undefined
    throw failureOf(stderr)
  }

  private parked(stage: string): ParkedLine[] {
    const { name } = this.job
    const listed = (this.ask('quarantine', 'list', name, '--stage', stage) ?? []) as readonly QuarantineLine[]
    return listed.map(({ key }) => {
      const shown = this.ask('quarantine', 'show', name, stage, JSON.stringify(key), '--key-json') as ParkedShown
      const { error, stack, attempts, since, events } = shown
      return { key, error, stack, attempts, since: Date.parse(since), waiting: events as never }
    })
  }

  /** A process begins for it, and is drained. */
  private async operate(
    action: 'retry' | 'edit' | 'drop' | 'drop-all',
    stage: string,
    key: unknown,
    value?: unknown
  ): Promise<QuarantineAnswer> {
    const running = this.start()
    let over = false
    const ended = running.ended.finally(() => (over = true))
    const client = await this.connect(() => over)
    if (client === undefined) throw failureOf((await ended).stderr)
    const command = { kind: 'quarantine-do', command: `n${this.commands++}`, action, stage, key: key as never } as const
    const answer = client.ask<'quarantine-do'>(value === undefined ? command : { ...command, value })
    await answer.catch(() => undefined)
    await client.ask({ kind: 'drain' })
    client.close()
    await ended
    await this.read()
    return answer
  }
}

function nameOf(actor: ActorClass): string {
  return actor.actorName ?? actor.name
}

function decoded(value: unknown, codec: ValueCodec): unknown {
  return codec.decode(
    typeof value === 'string' ? Buffer.from(value) : Buffer.from((value as { $bytes: string }).$bytes, 'base64')
  )
}

/** What the command line said, as the error that it was. */
function failureOf(stderr: string): Error {
  const [, code, message] = /^cairn: ([A-Z]+(?:_[A-Z]+)*): (.*)/m.exec(stderr) ?? []
  return Object.assign(new Error(message ?? stderr), { code })
}
