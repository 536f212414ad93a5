/**
 * Mistakes that a good engineer could make, as changes to the text of the build. Whatever the find text is, it must stand there exactly
 * once (white space counts as one blank), so that a change of the code cannot quietly disarm one of these.
 */
import { guardedMistakes } from './guarded-mistakes.ts'
import { restoreMistakes } from './restore-mistakes.ts'
import { storeMistakes } from './store-mistakes.ts'
import { traceMistakes } from './trace-mistakes.ts'

/** Other worlds than those that are drawn for all. */
export interface Worlds {
  /** No other classes of faults. */
  readonly faults: readonly string[]
  /** Of the sources; default: drawn. */
  readonly records?: number
  readonly why: string
}

export interface Mistake {
  readonly name: string
  /** File of the build, what stands there, what stands there instead. */
  readonly changes: readonly (readonly [file: string, find: string, replace: string])[]
  /** Why the swarm need not notice it. */
  readonly unseen?: string
  /** It is looked for in these alone. */
  readonly among?: Worlds
  /** No mistake at all: nothing may be found. */
  readonly harmless?: true
}

const aligned = 'actors/window-aligned.js'
const channel = 'runtime/core/channel.js'
const aligner = 'checkpoint/aligner.js'
const clusterLeader = 'runtime/core/cluster-leader.js'
const clusterWorker = 'runtime/shell/cluster-worker.js'
const connections = 'runtime/shell/connections.js'
const coordinator = 'checkpoint/coordinator.js'
const decisions = 'checkpoint/decision-log.js'
const entry = 'runtime/core/entry.js'
const exchange = 'runtime/core/exchange.js'
const follower = 'runtime/core/follower.js'
const generation = 'runtime/shell/generation.js'
const handlers = 'runtime/core/handler-runner.js'
const leadership = 'runtime/shell/leadership.js'
const messages = 'runtime/core/recorded-messages.js'
const kafka = 'runtime/kafka-protocol/transaction-machine.js'
const keyed = 'runtime/core/keyed-task.js'
const outputs = 'runtime/core/task-outputs.js'
const retention = 'checkpoint/retention.js'
const session = 'actors/window-session.js'
const slots = 'runtime/core/slot-machine.js'
const source = 'runtime/core/source-task.js'
const state = 'runtime/core/task-state.js'
const taskFiles = 'runtime/shell/task-files.js'
const worker = 'runtime/core/worker.js'
const writer = 'runtime/shell/checkpoint-writer.js'

export const mistakes: readonly Mistake[] = [
  ...traceMistakes,
  ...guardedMistakes,
  ...restoreMistakes,
  ...storeMistakes,
  // barriers and snapshots
  {
    name: 'a checkpoint does not wait for what is appended at least once before it',
    changes: [[worker, 'findIndex(({ append }) => !this.appends.confirmed(append))', 'findIndex(() => false)']]
  },
  {
    name: 'no alignment: the snapshot is taken at the first barrier, and nothing recorded',
    changes: [
      [
        aligner,
        "return this.align() === undefined ? 'held' : 'aligned';",
        "{ const first = !this.begun; this.begun = true; if (this.delivered.every((d, i) => d || this.closed[i])) { this.begun = false; this.reset(); } return first ? 'aligned' : 'obsolete'; }"
      ]
    ]
  },
  {
    name: 'a channel is read on after its barrier while others are waited for',
    changes: [[aligner, 'return !this.sealed && this.delivered[channel] === true;', 'return false;']]
  },
  {
    name: 'the barrier overtakes the data of an open batch',
    changes: [
      [exchange, "this.closeBatch(); if (element.kind === 'watermark') {", "if (element.kind === 'watermark') {"]
    ]
  },
  {
    name: 'recorded channel state is dropped at recovery',
    changes: [[messages, 'this.restored.push({ sequence, message });', '']]
  },
  {
    name: 'recorded channel state is replayed again at every recovery',
    changes: [
      [messages, 'for (const { keyGroup, sequence } of this.stored)', 'for (const { keyGroup, sequence } of [])']
    ]
  },
  {
    name: 'messages that come after the barrier are recorded too',
    changes: [
      [
        aligner,
        'return this.sealed && this.delivered[channel] === false && this.closed[channel] === false;',
        'return this.sealed && this.closed[channel] === false;'
      ]
    ]
  },
  {
    name: 'an actor that is touched between barrier and encoding is stored as it is then',
    changes: [
      [
        state,
        'if (sealed !== undefined && entry.dirtySequence === sealed.sequence && entry.encodedSequence !== sealed.sequence)',
        'if (false)'
      ]
    ]
  },
  {
    name: 'the changes of an abandoned epoch are forgotten',
    changes: [
      [
        state,
        'for (const entry of sealed.entries) { if (entry.dirtySequence === this.sequence)',
        'for (const entry of []) { if (entry.dirtySequence === this.sequence)'
      ]
    ]
  },
  {
    name: 'the outputs of an abandoned epoch are forgotten',
    changes: [[keyed, 'this.settings.outputs.unseal(this.sealed.outbox);', '{}']]
  },
  {
    name: 'a delta is acknowledged before it is stored',
    changes: [
      [
        taskFiles,
        "if ((await settings.storage.create(name, bytes)) === 'exists')",
        'settings.storage.create(name, bytes).catch(() => undefined); if (false)'
      ]
    ]
  },
  {
    name: 'an actor leaves memory before the store has it',
    changes: [[state, 'if (entry.dirtySequence > this.appliedSequence || entry.busy', 'if (entry.busy']]
  },
  {
    name: 'a late acknowledgement counts for the epoch in flight',
    changes: [
      [
        coordinator,
        "if (state === undefined || state.epoch !== epoch) return 'discarded';",
        "if (state === undefined) return 'discarded';"
      ],
      [writer, 'assert(each.epoch === epoch,', 'assert(true,']
    ]
  },
  // restoring
  { name: 'timers are not restored', changes: [[entry, 'queue.arm(entry, name, at);', '']] },
  {
    name: 'offsets are one too far',
    changes: [
      [
        source,
        'position: partition.position,',
        'position: partition.position + (partition.batch === undefined ? 0 : 1),'
      ]
    ]
  },
  {
    name: 'the position of a source is where the next fetch begins, not behind what was handled',
    changes: [[source, 'position: partition.position,', 'position: partition.next,']]
  },
  {
    name: 'watermarks are not restored',
    changes: [
      [generation, 'task.restoreProgress(bySlot);', '{}'],
      [source, 'watermark: progress.watermark ?? -Infinity', 'watermark: -Infinity']
    ]
  },
  {
    name: 'the next generation begins from the checkpoint before the newest',
    changes: [
      [
        decisions,
        "return this.entries.findLast(entry => entry.kind === 'completed');",
        "return this.entries.filter(entry => entry.kind === 'completed').slice(-2)[0];"
      ]
    ]
  },
  {
    name: 'rescale forgets the outboxes of slots that others had',
    changes: [
      [
        generation,
        'outboxes: manifest?.outboxes ?? [] }',
        'outboxes: (manifest?.outboxes ?? []).filter(ref => assignment.tasks[ref.task] === settings.worker) }'
      ]
    ]
  },
  {
    name: 'only the actors of the first task are restored after a rescale',
    changes: [
      [
        generation,
        'byTask.get(taskOfKeyGroup(keyGroup, slots));',
        'byTask.get(keyGroup % worker.assignment.tasks.length);'
      ]
    ]
  },
  {
    name: 'when an actor was last touched is not restored, so it is forgotten too early',
    changes: [[entry, 'entry.lastEvent = stored.lastEvent;', 'entry.lastEvent = stored.created;']]
  },
  {
    name: 'an actor whose time is over is kept until a timer says so',
    changes: [[handlers, "if (this.expiresAt(entry) <= (ttl.clock === 'wall' ? this.now() : time))", 'if (false)']]
  },
  {
    name: 'a window forgets its events when it fires, though it takes late ones for a while',
    changes: [[aligned, 'if (this.lastEnd(start) + this.setup.latenessMs <= at) {', 'if (this.lastEnd(start) <= at) {']]
  },
  // the decision log, leaders and followers
  {
    name: 'the decision log is written without asking whether the place is free',
    changes: [[decisions, "=== 'created') break;", '!== undefined) break;']]
  },
  {
    name: 'workers hear of a checkpoint before its decision stands',
    changes: [[leadership, 'await writer.decide(head);', 'writer.decide(head).catch(() => undefined);']]
  },
  {
    name: 'a gap in a channel is not noticed, and a frame is lost now and then',
    changes: [
      [exchange, 'if (sequence !== this.expected) {', 'if (false) {'],
      [exchange, 'this.frames.push(frame);', 'if (frame.length % 97 !== 0) this.frames.push(frame);']
    ]
  },
  {
    name: "another machine's clock is compared with ours",
    changes: [
      [clusterWorker, 'sequence: ++this.sequence,', 'sequence: ++this.sequence, wallMs: ports.clock.now(),'],
      [clusterLeader, 'report, heardAt: now, reportedAt: now,', 'report, heardAt: report.wallMs, reportedAt: now,'],
      [leadership, 'this.leader.step(command, clock.elapsed())', 'this.leader.step(command, clock.now())'],
      [leadership, 'const now = clock.elapsed();', 'const now = clock.now();']
    ]
  },
  // publishing
  {
    name: 'the ledger entry is written in a transaction of its own',
    changes: [
      [
        kafka,
        'const refused = yield* this.write(this.roundsOf(records, entry), now);',
        'if (records.length > 0) { yield* this.write(this.roundsOf(records, undefined), now); yield* this.end(true); if (this.version === 1) yield* this.renew(now); } const refused = yield* this.write(this.roundsOf([], entry), now);'
      ],
      [
        kafka,
        'const bytes = encodeBatch([{ ...entry, key: entry.key ?? this.ledgerKey }]',
        'if (entry === undefined) return rounds; const bytes = encodeBatch([{ ...entry, key: this.ledgerKey }]'
      ]
    ]
  },
  {
    name: 'positions of sources are told with the first chunk that comes, of an earlier epoch',
    changes: [[slots, '({ epoch }) => epoch <= chunk.epoch', '() => true']]
  },
  {
    name: 'positions of sources are told only along with output',
    changes: [[slots, 'if (newest === undefined)', 'this.untold = []; if (true)']]
  },
  {
    name: 'the ledger is read without waiting for what is undecided',
    changes: [[kafka, 'isolationLevel: readCommittedOnly', 'isolationLevel: readUncommitted']]
  },
  {
    name: 'nothing new in the ledger is taken for its end',
    changes: [[kafka, "reached('kafka: waits for the ledger to become stable');", 'break;']]
  },
  {
    name: 'each generation publishes under a transactional id of its own',
    changes: [
      [
        'runtime/adapters/kafka/kafka-publisher.js',
        'transactionalId: slotKey(slot),',
        'transactionalId: `${slotKey(slot)}@${(globalThis.ids = (globalThis.ids ?? 0) + 1)}`,'
      ],
      [kafka, 'encode(options.transactionalId)', "encode(options.transactionalId.split('@')[0])"]
    ]
  },
  {
    name: 'an unknown outcome is taken for a failure: the chunk is published again without a look at the ledger',
    changes: [
      [
        slots,
        "this.state = 'reading'; return { kind: 'read-ledger', slot: this };",
        "if (this.ledger !== undefined) { this.state = 'ready'; return this.next(); } this.state = 'reading'; return { kind: 'read-ledger', slot: this };"
      ]
    ]
  },
  {
    name: 'an unknown outcome is taken for success',
    changes: [
      [slots, "reached('slot: an unknown outcome');", 'this.ledger = entry;'],
      [
        slots,
        "this.state = 'reading'; return { kind: 'read-ledger', slot: this };",
        "if (this.ledger !== undefined) { this.state = 'ready'; return this.next(); } this.state = 'reading'; return { kind: 'read-ledger', slot: this };"
      ]
    ]
  },
  {
    name: 'the end of a transaction is asked for again on the same producer',
    changes: [
      [
        kafka,
        "const answer = yield* this.askCoordinator('EndTxn', { ...this.identity(), committed }, maxVersion);",
        "let answer; for (let i = 0; answer === undefined; i++) try { answer = yield* this.askCoordinator('EndTxn', { ...this.identity(), committed }, maxVersion); } catch { if (i > 0) answer = { reply: { ...this.identity(), errorCode: 0 } }; }"
      ],
      [kafka, 'if (this.version === 1 && this.used)', 'if (false)']
    ]
  },
  {
    name: 'an outbox is forgotten once its epoch is decided',
    changes: [[writer, '.filter(ref => !isPublished(ref, ledgers))', '.filter(() => false)']]
  },
  {
    name: 'the last record of each chunk is left out',
    changes: [
      [
        slots,
        'while (this.queue[0] !== undefined && this.isPublished(this.queue[0]))',
        'while (this.queue[0] !== undefined && (this.isPublished(this.queue[0]) || (this.queue[0].chunk > 0 && this.queue[0].last)))'
      ],
      ['checkpoint/outbox-file.js', 'const chunkLimitBytes = 1024 * 1024;', 'const chunkLimitBytes = 1024;']
    ]
  },
  // retention
  {
    name: 'retention is one too eager',
    changes: [
      [
        writer,
        'const newest = this.retained.slice(0, retainedCheckpoints); const gone = this.retained.slice(retainedCheckpoints)',
        'const newest = this.retained.slice(0, retainedCheckpoints - 1); const gone = this.retained.slice(retainedCheckpoints - 1)'
      ]
    ]
  },
  {
    name: 'what an older checkpoint alone named is never deleted',
    changes: [[writer, 'this.doom(gone.map(each => each.name));', '']]
  },
  // handlers and windows
  {
    name: 'a handler that throws keeps its emissions',
    changes: [
      [
        handlers,
        'context.discard(); this.settings.outputs.staged = undefined;',
        'if (context.staged !== undefined) this.settings.outputs.release(context.staged); context.discard(); this.settings.outputs.staged = undefined;'
      ]
    ]
  },
  {
    name: 'a handler that throws keeps its changes',
    changes: [[handlers, 'this.undo(entry, undo); if (this.checks', 'if (this.checks']]
  },
  {
    name: 'merged sessions lose the timer of the later one',
    changes: [
      [
        session,
        'into.end = Math.max(into.end, end);',
        'into.end = to > from + 1 ? into.end : Math.max(into.end, end);'
      ],
      [session, 'into.end = other.end;', '']
    ]
  },
  {
    name: 'the outputs of an abandoned epoch come after those of the next',
    changes: [[outputs, 'sealed.absorb(this.outbox); this.outbox = sealed;', 'this.outbox.absorb(sealed);']]
  },
  {
    name: 'what was put aside comes back behind what came later',
    changes: [
      [channel, 'this.queue[at] = batch;', 'this.queue.splice(at, 1); this.queue.push(batch);'],
      [channel, 'this.queue.push(batch);', 'this.open = undefined; this.queue.push(batch);']
    ]
  },
  {
    name: 'a batch that was put aside is forgotten',
    changes: [[channel, 'batch.columns = columns;', 'batch.columns = { ...columns, keys: [], values: [] };']]
  },
  {
    name: 'a full channel holds nobody back',
    changes: [[channel, 'this.queued >= this.limits.queueRecords', 'false']]
  },
  {
    name: 'a channel to another worker never runs out of credit',
    changes: [[exchange, 'this.used >= this.limits.windowBytes', 'false']]
  },
  {
    name: 'a generation begins though the decision of an epoch is under way',
    changes: [
      [leadership, 'await this.completing;', ''],
      [decisions, "assert(!this.appending, 'two appends to one decision log at once');", '']
    ]
  },
  // mistakes behind which something else stands, or too rare for so few seeds
  {
    name: 'a slot whose ledger is not read yet counts as recovered',
    unseen: 'a slot publishes nothing before it has read its ledger, whoever counts it; what is lost is an early halt',
    changes: [[worker, 'recovered &&= slot.recovered;', '']]
  },
  {
    name: 'the ledger is read before the older owner is fenced',
    unseen: 'needs a zombie that publishes between two requests; `npm run explore` finds it',
    changes: [
      [
        kafka,
        'yield* this.initialiseAs(-1, -1,',
        'this.early = [yield* this.readLedger(now)]; yield* this.initialiseAs(-1, -1,'
      ],
      [
        kafka,
        '*readLedger(now) {',
        '*readLedger(now) { if (this.early !== undefined) { const [value] = this.early; this.early = undefined; return value; }'
      ]
    ]
  },
  {
    name: 'late and repeated directives are obeyed',
    unseen: 'a directive is a whole state and generations only grow, so an old one asks for what is done',
    changes: [
      [
        follower,
        'if (directive.term < this.term || (directive.term === this.term && directive.sequence <= this.sequence)) {',
        'if (false) {'
      ]
    ]
  },
  {
    name: 'the number of an epoch is used again after it was abandoned',
    unseen: 'workers ignore a barrier they have had, and the generation is given up as stuck',
    changes: [
      [
        coordinator,
        'this.state = undefined; this.failures++;',
        'this.state = undefined; this.epoch--; this.failures++;'
      ],
      [
        worker,
        'if (epoch <= this.triggered) return;',
        'if (epoch <= this.triggered && this.inFlight !== undefined) return;'
      ]
    ]
  },
  {
    name: 'a worker enters a generation that is not the newest in the log',
    unseen: 'it can decide nothing, and its slots are fenced',
    changes: [
      [clusterWorker, 'if (begins?.generation !== number)', 'if (begins === undefined)'],
      [
        clusterWorker,
        'const begins = log.begun;',
        "const begins = log.entries.findLast(entry => entry.kind === 'begins' && entry.generation <= number);"
      ]
    ]
  },
  {
    name: 'collection takes files of an epoch that is not decided yet',
    unseen: 'needs a leader that sleeps between its first decision and its collection',
    changes: [[retention, '(epochOf(name) ?? 0) <= head', 'true']]
  },
  {
    name: 'a merged file is named after the epochs that it holds, so another leader takes it for an orphan',
    unseen: 'needs a leader that sleeps between a decision and its collection while the next one merges',
    changes: [
      [writer, 'objectNames.base(undecided, stage.name, nonce())', 'objectNames.base(epoch, stage.name, nonce())']
    ]
  },
  // not mistakes
  {
    name: 'smaller batches between workers',
    changes: [[exchange, 'const batchBytes = 32 * 1024;', 'const batchBytes = 512;']],
    harmless: true
  },
  {
    name: 'credit is returned at once',
    changes: [[exchange, 'const creditShare = 1 / 8;', 'const creditShare = 1e-9;']],
    harmless: true
  },
  {
    name: 'files are merged four at a time',
    changes: [['checkpoint/compaction.js', 'const tierWidth = 8;', 'const tierWidth = 4;']],
    harmless: true
  },
  {
    name: 'fewer events between two turns of the event loop',
    changes: [['runtime/shell/worker-shell.js', 'const mostSliceEvents = 1024;', 'const mostSliceEvents = 7;']],
    harmless: true
  },
  {
    name: 'slower reconnection of workers',
    changes: [[connections, 'const retryMs = 200;', 'const retryMs = 700;']],
    harmless: true
  }
]
