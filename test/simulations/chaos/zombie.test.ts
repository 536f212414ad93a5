/**
 * A zombie: a worker that is paused until another has replaced it, then goes on as if nothing had happened. What would make it notice is
 * taken out of its code, so that only the others are left to refuse it: it decides a checkpoint, acknowledges one, publishes one.
 *
 *   w1 leads and runs generation 1 ── SIGSTOP ───────────────── SIGCONT ── decides, acknowledges, publishes: refused ── SIGKILL
 *   w2                                     leads, generation 2 ── checkpoints ──────────────────────────────── the end: all is right
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DirectoryLineages } from '../../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../../checkpoint/adapters/node-files.ts'
import { DecisionLog, type Decision } from '../../../checkpoint/decision-log.ts'
import { firstLineage } from '../../../checkpoint/lineages.ts'
import { connectCluster } from '../../../deploy/cluster/connection.ts'
import { listen, type Look } from '../../../deploy/cluster/look.ts'
import { usualTiming } from '../../../deploy/cluster/timing.ts'
import { partitions, writeCommands, type Commands } from '../../../simulations/chaos/commands.ts'
import { root } from '../../../simulations/chaos/installed.ts'
import { expected } from '../../../simulations/chaos/model.ts'
import { judge } from '../../../simulations/chaos/verdict.ts'
import { WorkerChild, type Said } from '../../../simulations/chaos/worker-child.ts'
import { patchedBuild, type Patch } from '../../../simulations/patched-build.ts'
import { NatsServer } from '../../support/nats-server.ts'
import { needs } from '../../support/services.ts'

t.setTimeout(300_000)

const tells = (what: string): string => `process.stderr.write(JSON.stringify({ message: ${what} }) + '\\n');`

/** It hears nobody else, does not mind that it lost the lease or that time has passed, and goes on when a decision of its is refused. */
const noticesNothing: readonly Patch[] = [
  {
    file: 'runtime/shell/cluster-worker.js',
    find: "return reached('cluster worker: a message that is no directive');",
    replace: 'return; if (this.leadership !== undefined && directive.leader !== this.id) return;'
  },
  {
    file: 'runtime/shell/cluster-worker.js',
    find: 'deposed: () => { void this.leadership?.resign(); this.leadership = undefined; }',
    replace: 'deposed: () => undefined'
  },
  {
    file: 'runtime/shell/cluster-worker.js',
    find: "reached('cluster worker: a message that is no report'); else if (report.lineage === this.lineage) this.leadership.heard(report);",
    replace: 'return; else if (report.worker === this.id) this.leadership.heard(report);'
  },
  {
    file: 'runtime/core/cluster-leader.js',
    find: 'if (member === undefined || now - member.heardAt > timing.lostAfterMs)',
    replace: 'if (member === undefined)'
  },
  {
    file: 'runtime/shell/leadership.js',
    find: 'await writer.decide(head);',
    replace: `await writer.decide(head).catch(error => { ${tells('`decision refused: ${error.message}`')} });`
  }
]

/** It stops itself where nothing of it is under way: what it stored for an epoch in flight would be collected meanwhile. */
const lastEpoch = 4
const stopsItself: Patch = {
  file: 'runtime/core/cluster-leader.js',
  find: 'running.trigger = { epoch: action.epoch, last: action.last };',
  replace: `if (action.epoch === ${lastEpoch + 1}) process.kill(process.pid, 'SIGSTOP'); running.trigger = { epoch: action.epoch, last: action.last };`
}

/**
 * The leader says which acknowledgements it throws away. Its first checkpoint comes as late as all others: a sink of files knows an epoch by what
 * it holds, so the one that the zombie publishes though it was not decided must meet one that has something in every slot.
 */
const saysWhatItRefuses: readonly Patch[] = [
  {
    file: 'runtime/core/checkpoint-leader.js',
    find: 'const firstCheckpointMs = 100;',
    replace: 'const firstCheckpointMs = 1000;'
  },
  {
    file: 'runtime/core/cluster-leader.js',
    find: 'if (report.generation !== running.generation)',
    replace: `if (report.report !== undefined && report.generation < running.generation) { ${tells(
      '`acknowledgement refused: of ${report.worker} in generation ${report.generation}`'
    )} } if (report.generation !== running.generation)`
  }
]

const says =
  (text: string) =>
  (line: Said): boolean =>
    String(line['message']).startsWith(text)

async function decided(look: Look, worker: string, atLeast: number): Promise<number> {
  const epoch = await look.until(({ directive }) => {
    const mine = directive?.leader.startsWith(`${worker}#`) === true
    const epoch = directive?.decided?.epoch ?? 0
    return mine && epoch >= atLeast ? epoch : undefined
  }, Infinity)
  return epoch ?? 0
}

async function decisions(storage: string): Promise<readonly Decision[]> {
  const lineages = new DirectoryLineages(nodeFiles, join(storage, 'chaos'))
  return (await DecisionLog.open(lineages.storage(firstLineage), () => 'reader')).entries
}

function build(t: Test, patches: readonly Patch[]): string {
  const { folder, remove } = patchedBuild(patches)
  t.teardown(remove)
  return join(folder, 'deploy', 'main.js')
}

void t.test('what a zombie decides, acknowledges and publishes is refused', needs('nats-server'), async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-zombie-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const commands: Commands = { seed: 9, perPartition: Math.ceil(12_000 / partitions), spanMs: 12_000 }
  writeCommands(commands, folder)
  copyFileSync(join(root, 'simulations', 'chaos', 'job.ts'), join(folder, 'job.ts'))
  const storage = join(folder, 'storage')
  const nats = await NatsServer.start(t)
  const address = `nats://${nats.address}`
  const worker = (name: string, cairn: string): WorkerChild => {
    const flags = { '--nats': address, '--storage': storage, '--name': name, '--local': join(folder, name) }
    const args = [cairn, 'worker', 'start', 'job.ts', ...Object.entries(flags).flat(), '--lost-after', '2s']
    const child = new WorkerChild({ name, args, folder, log: join(folder, `${name}.log`) })
    t.teardown(async () => {
      child.signal('SIGKILL')
      await child.exited
    })
    return child
  }

  const zombie = worker('w1', build(t, [...noticesNothing, stopsItself]))
  await zombie.runs()
  const { bus } = await connectCluster('chaos', { storage, nats: [address] }, usualTiming.leaseMs, false)
  t.teardown(() => bus.close())
  const look = listen('chaos', bus)
  t.teardown(() => look.close())
  await decided(look, 'w1', lastEpoch)

  const heir = worker('w2', build(t, saysWhatItRefuses))
  await heir.runs()
  // The zombie will try its next ones: they are long decided, and published, by another.
  await decided(look, 'w2', lastEpoch + 4)
  zombie.signal('SIGCONT')

  const write = await zombie.says(says('decision refused'))
  t.match(write['message'], /epoch \d+: another owner wrote the decision log/)
  const acknowledgement = await heir.says(says('acknowledgement refused'))
  t.match(acknowledgement['message'], /of w1#\w+ in generation \d+/)
  const publish = await zombie.says(({ message }) => /the sink refuses/.test(String(message)))
  t.match(publish['message'], /the sink refuses epoch \d+, chunk \d+: .* holds other bytes than the ones to publish/)
  zombie.signal('SIGKILL')
  t.equal(await zombie.exited, 'SIGKILL')

  t.equal(await heir.exited, 0, heir.text)
  const log = await decisions(storage)
  const taken = log.findLastIndex(entry => entry.kind === 'leads' && entry.worker.startsWith('w2#'))
  t.ok(taken > 0)
  const generation = log[taken]?.generation ?? 0
  t.ok(
    log.slice(taken).every(entry => entry.generation >= generation),
    'no decision of the zombie is behind that by which it was replaced'
  )
  t.same((await judge(folder, storage, expected(commands))).findings, [])
})
