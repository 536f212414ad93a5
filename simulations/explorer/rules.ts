/**
 * The rules of RELIABILITY.md's output protocol, each as what has to be changed in the build to take it out. A rule that can be
 * taken out without a violation being found is not a rule, or the exploration is blind to it.
 */
import type { Patch } from '../patched-build.ts'
import { scopes, type Scope } from './scope.ts'

export interface Rule {
  readonly name: string
  readonly patches: readonly Patch[]
  readonly scope: Scope
  /** Takes seconds: left to `npm run explore`. */
  readonly slow?: boolean
}

const slot = (find: string, replace: string): Patch => ({ file: 'runtime/core/slot-machine.js', find, replace })
const log = (find: string, replace: string): Patch => ({ file: 'checkpoint/decision-log.js', find, replace })
const coordinator = (find: string, replace: string): Patch => ({ file: 'checkpoint/coordinator.js', find, replace })
const fork = (find: string, replace: string): Patch => ({ file: 'runtime/shell/fork.js', find, replace })
const lineages = (find: string, replace: string): Patch => ({ file: 'checkpoint/lineages.js', find, replace })
/** What the shell does, as the explorer does it. */
const shell = (find: string, replace: string): Patch => ({
  file: 'simulations/explorer/explored-worker.js',
  find,
  replace
})
const sink = (find: string, replace: string): Patch => ({ file: 'simulations/explorer/world.js', find, replace })

/** Of a publication. */
const unknown = "reached('slot: an unknown outcome');"
const calm: Scope = { ...scopes.failover, crashes: 0, giveUps: 0, timeouts: 0, inputs: 1 }
const { failover, pruning, ledgerLoss, decisionLoss } = scopes

export const rules: readonly Rule[] = [
  {
    name: 'P1 one transactional id per slot, for ever',
    patches: [shell('return transactionalId({', 'return `${slot}@${this.local.generation}`;\n        ({')],
    scope: calm
  },
  {
    name: 'P2 initialising fences the older owner',
    patches: [sink('const owner = (slot.owners[request.id] ?? 0) + 1;', 'const owner = 1;')],
    scope: calm
  },
  {
    name: 'P2 the ledger is read after the fence',
    patches: [
      slot(
        "this.state = 'initialising';\n            return { kind: 'initialise', slot: this };",
        "this.state = 'reading';\n            return { kind: 'read-ledger', slot: this };"
      ),
      slot(
        "this.state = 'reading';\n        return { kind: 'read-ledger', slot: this };",
        "if (this.ledger !== undefined) {\n this.state = 'ready';\n return this.next();\n }\n this.state = 'publishing';\n return { kind: 'publish', slot: this, chunk: undefined, entry: this.entry(0, 0, true) };"
      ),
      slot(
        "this.state = 'publishing';\n            return { kind: 'publish', slot: this, chunk: undefined, entry: this.entry(0, 0, true) };",
        "this.state = 'initialising';\n return { kind: 'initialise', slot: this };"
      ),
      slot(
        "this.ledger = entry;\n        this.state = 'ready';\n        return this.next();",
        "this.ledger = entry;\n        this.state = 'initialising';\n        return { kind: 'initialise', slot: this };"
      )
    ],
    scope: calm
  },
  {
    name: 'P2 nothing is published before the ledger is read',
    patches: [
      slot(
        "this.state = 'reading';\n        return { kind: 'read-ledger', slot: this };",
        "this.ledger ??= this.floor && { ...this.floor, last: true };\n this.state = this.ledger ? 'ready' : 'reading';\n return this.next() ?? (this.ledger ? undefined : { kind: 'read-ledger', slot: this });"
      )
    ],
    scope: calm
  },
  {
    name: 'P3 an unknown outcome is not a failure',
    patches: [
      slot(`${unknown}\n                this.state = 'new';`, `${unknown}\n                this.state = 'ready';`)
    ],
    scope: failover
  },
  {
    name: 'P3 an unknown outcome is not a success',
    patches: [
      slot(
        `${unknown}\n                this.state = 'new';`,
        `${unknown}\n                this.ledger = entry;\n                this.state = 'ready';`
      )
    ],
    scope: failover
  },
  {
    name: 'P3 an attempted decision is repeated, not abandoned',
    patches: [
      coordinator("decision: 'repeat'", "decision: 'abandon'"),
      coordinator(" || state.step === 'deciding'", '')
    ],
    scope: failover
  },
  {
    name: 'P3 an unknown write is not a success',
    patches: [shell("return this.abandon(this.coordinator.failed(epoch, 'manifest', ''));", 'void 0;')],
    scope: failover
  },
  {
    name: 'P4 published only once decided',
    patches: [
      shell(
        'this.coordinator?.attempted(epoch);',
        'this.coordinator?.attempted(epoch);\n this.hand(epoch, this.local.acknowledged);\n for (const slot of this.slots) this.act(slot.next());'
      )
    ],
    scope: calm
  },
  {
    name: 'P4 records and ledger entry in one transaction',
    patches: [
      shell(
        'producer, records, entry: action.entry }, action.entry);',
        'producer, records, entry: undefined }, action.entry);'
      ),
      shell(
        'const outcome = reply === null',
        "if (reply === 'published' && request.entry === undefined) return this.ask('entry', { ...request, records: [], entry }, entry);\n const outcome = reply === null"
      )
    ],
    scope: calm
  },
  {
    name: 'P4 an outbox outlives the decision until it is published',
    patches: [
      shell(
        'coordinator?.decided(epoch);',
        'coordinator?.decided(epoch);\n this.doom(local.acknowledged.map(outbox => outbox.file.name));'
      )
    ],
    scope: calm
  },
  {
    name: 'P4 a manifest names every outbox that is not published',
    patches: [
      {
        file: 'simulations/explorer/outboxes.js',
        find: '.filter(outbox => !isPublished(outbox, slots))',
        replace: '.filter(() => false)'
      }
    ],
    scope: { ...calm, inputs: 2 }
  },
  {
    name: 'P5 recovery takes the newest checkpoint',
    patches: [
      log("return this.entries.findLast(entry => entry.kind === 'completed');", 'return this.completed(2).at(-1);'),
      { file: 'simulations/explorer/log-operation.js', find: 'readBack: 1', replace: 'readBack: 64' }
    ],
    scope: calm
  },
  {
    name: 'P5 a ledger above the newest checkpoint halts',
    patches: [slot('if (entry.epoch > this.head)', 'if (false)')],
    scope: decisionLoss,
    slow: true
  },
  {
    name: 'P6 an abandoned epoch number is not used again',
    patches: [coordinator('this.failures++;', 'this.failures++;\n        this.epoch--;')],
    scope: { ...calm, inputs: 2, timeouts: 1 }
  },
  {
    name: 'P6 epoch numbers go on after a restore',
    patches: [
      shell('pendingLimitBytes: 1, epoch: head', 'pendingLimitBytes: 1, epoch: 0'),
      log('assert(decision.epoch > (this.head?.epoch ?? -1)', 'assert(true'),
      log('decision.epoch <= (this.head?.epoch ?? -1))', 'false)')
    ],
    scope: { ...calm, inputs: 2 },
    slow: true
  },
  {
    name: 'P7 a missing ledger entry halts',
    patches: [slot('if (this.floor !== undefined || this.ledger !== undefined)', 'if (false)')],
    scope: ledgerLoss
  },
  {
    name: 'TV1 initialised before every transaction',
    patches: [
      shell(
        "this.ask('renew', { op: 'initialise', slot, id, renews: this.local.producers[slot] ?? 0 }, transaction);",
        "this.renewed({ op: 'initialise', slot, id }, transaction, this.local.producers[slot]);"
      )
    ],
    scope: scopes.oldProtocol,
    slow: true
  },
  {
    name: 'TV1 a renewal names the producer that it renews',
    patches: [shell(', renews: this.local.producers[slot] ?? 0 }', ' }')],
    scope: { ...scopes.oldProtocol, giveUps: 0 },
    slow: true
  },
  {
    name: 'P6 the old lineage is sealed before it ends',
    patches: [fork('await sealSlots(settings, head, generation)', 'void 0')],
    scope: scopes.fork
  },
  {
    name: 'P6 what seals reads the ledger',
    patches: [fork('await producer.readLedger()', 'machine.entry(0, 0, true)')],
    scope: { ...scopes.fork, restore: 0 }
  },
  {
    name: 'P6 the new lineage is whole before the old one ends',
    patches: [
      fork(
        'const made = await prepareLineage(settings, generation + 1);',
        `const early = { into: newest.lineage + 1, lineage: point.lineage, epoch: point.manifest.epoch };
    await append(log, { kind: 'leads', worker, generation: generation + 1, ends: early });
    return await prepareLineage(settings, generation + 1);`
      )
    ],
    scope: scopes.fork
  },
  {
    name: 'P6 slots of its own for each lineage',
    patches: [sink('return (lineage - 1) * slotCount + slot;', 'return slot;')],
    scope: scopes.fork
  },
  {
    name: 'P6 generation numbers go on in the new lineage',
    patches: [fork('await prepareLineage(settings, generation + 1)', 'await prepareLineage(settings, 1)')],
    scope: scopes.fork
  },
  {
    name: 'P6 whoever forks has won the entry that ends the lineage',
    patches: [
      fork("if ((await log.append(decision)).kind === 'lost')", "if ((await log.append(decision)).kind === '')")
    ],
    scope: { ...scopes.fork, forks: 2 },
    slow: true
  },
  {
    // Two stand for it: a start follows the logs, and a log that has ended takes nothing.
    name: 'P6 nobody leads a lineage that has ended',
    patches: [
      lineages('return chain.at(-1) ?? chain[0];', 'return chain[0];'),
      log('if (this.ends !== undefined)', 'if (false)')
    ],
    scope: { ...scopes.fork, boots: 2 }
  },
  {
    name: 'P6 a lineage to which no log leads counts for nothing',
    patches: [
      lineages(
        'for (let ends = chain[0].log.ends; ends !== undefined;) {',
        'for (let ends = listed.at(-1) > 1 ? { into: listed.at(-1) } : undefined; ends !== undefined;) {'
      )
    ],
    scope: { ...scopes.fork, boots: 2, crashes: 1 },
    slow: true
  },
  {
    name: 'P6 what is cleared away is not the new lineage',
    patches: [fork('lineage >= made)', 'lineage > made)')],
    scope: scopes.fork
  },
  {
    name: 'R14 the new lineage publishes nothing of the old one',
    patches: [fork('outboxes: [],', 'outboxes: point.manifest.outboxes,')],
    scope: { ...scopes.fork, inputs: 2, restore: 1 },
    slow: true
  },
  {
    name: 'R14 the new lineage expects no ledger entry of the old one',
    patches: [fork('ledgers: []', 'ledgers: point.manifest.ledgers')],
    scope: { ...scopes.fork, inputs: 2, restore: 1 },
    slow: true
  },
  {
    name: 'S14 the new lineage has files of its own',
    patches: [fork('copies.push(await copyFile(point, file, files, stage.name))', 'copies.push(file)')],
    scope: scopes.fork
  },
  {
    name: "S3 a lineage that another fork prepares is not taken for one's own",
    patches: [
      fork('if (log.entries.length > 0)', 'if (false)'),
      fork('Math.max(newest.lineage, ...(await lineages.list()))', 'newest.lineage')
    ],
    scope: { ...scopes.fork, forks: 2, crashes: 1 },
    slow: true
  },
  {
    name: 'S3 a decision is created conditionally',
    patches: [log("=== 'created')", '!== undefined)')],
    scope: calm
  },
  {
    name: 'S3 an append needs its predecessor',
    patches: [log('await this.requirePredecessor();', '')],
    scope: pruning,
    slow: true
  },
  {
    name: 'S3 a first append needs an empty log',
    patches: [log('highestOf(await list(this.storage)) > 0', 'false')],
    scope: pruning,
    slow: true
  },
  {
    name: 'S14 files above the head may be decided yet',
    patches: [{ file: 'checkpoint/retention.js', find: '(epochOf(name) ?? 0) <= head', replace: 'true' }],
    scope: { ...calm, boots: 3 },
    slow: true
  },
  {
    name: 'S2 an abandoned epoch joins the next',
    patches: [shell('const from = local.head?.manifest.position ?? 0;', 'const from = local.position - 1;')],
    scope: failover
  }
]
