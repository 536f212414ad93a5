/** The closed list of operational errors. Every code has a heading in `docs/errors.md`; a test keeps the two equal. */
interface ErrorCodeEntry {
  readonly group: 'user' | 'external' | 'internal'
  readonly retriable: boolean
  readonly remedy: string
}

const user = (remedy: string): ErrorCodeEntry => ({ group: 'user', retriable: false, remedy })
const external = (remedy: string, retriable = false): ErrorCodeEntry => ({ group: 'external', retriable, remedy })
const internal = (remedy: string): ErrorCodeEntry => ({ group: 'internal', retriable: false, remedy })

export const errorCodes = {
  // the job and its plan
  PLAN_INVALID: user('Correct the listed places in the job file; all of them are named at once.'),
  NAME_INVALID: user('Use a name that matches [A-Za-z][A-Za-z0-9_-]{0,62} and is unique in the job.'),
  OPTION_INVALID: user('Correct the option; the message names it, its value and what is accepted.'),
  // actors and values
  ACTOR_INVALID: user('Change the class as the message says; durable fields are plain public fields.'),
  VALUE_NOT_STORABLE: user('Store plain data: the message names the path of the value that cannot be stored.'),
  STATE_TOO_LARGE: user('Move the large collection into a durableMap.'),
  KEY_INVALID: user('Key by a string, a safe integer, or a tuple of these, at most 64 KiB when encoded.'),
  STATE_INCOMPATIBLE: user(
    'Write `static migrate`, or give the field up with `static drops`; see the named actor and field.'
  ),
  STATE_CHANGED_OUTSIDE: user(
    'Change fields in handlers only: copy what the actor takes from outside, and hand out copies.'
  ),
  CONTEXT_DEAD: user('Use ctx only until its handler has returned or its promise has settled.'),
  SEND_UNDECLARED: user('Add the receiving actor to `sends` of the sending stage.'),
  HANDLER_FAILED: user('Correct the handler, or set `onError` on the stage.'),
  QUARANTINE_FULL: user(
    'Raise `quarantineLimit` of the stage and start again; then correct the handler, or drop what waits with `cairn quarantine drop`.'
  ),
  DECODE_FAILED: user("Correct the input, or set `onError: 'dead-letter'` on the source."),
  RECORD_REFUSED: user('Emit a record within the limits of the sink.'),
  // stored bytes
  CORRUPT: external('Restore the named file from a copy, or start over with --fresh.'),
  FORMAT_NEWER: user('Run the version of Cairn that wrote it, or a newer one.'),
  FORMAT_OLDER: user('Finish the job with the version of Cairn that wrote it, or start over with --fresh.'),
  FOREIGN_CHECKPOINT: user('Point --storage at a directory of this job, or use another directory.'),
  FORK_NEEDED: user('Add --fork if that is what you want; else start it without --restore.'),
  LINEAGE_ENDED: external('Start it again: it goes on in the newest lineage.', true),
  LOCKED: user('Another process runs this job on this directory: stop it, or use another --storage.'),
  RECOVERY_HALTED: external('Nothing was changed. Follow the message: it names the slot, the epoch and the file.'),
  STORAGE_FAILED: external(
    'Free space or correct the rights of the named path; the job resumes from its last checkpoint.',
    true
  ),
  STORAGE_REFUSED: user(
    'Correct bucket, endpoint or credentials as the message says; docs/storage.md lists what is asked of a server.'
  ),
  // inputs and outputs
  INPUT_MISSING: user('Create the named input or correct its path.'),
  ALIGNMENT_BROKEN: user(
    "Leave `aligned` out of keyBy; else partition the topic by this key's bytes and choose `slots` that divide its partitions."
  ),
  INPUT_REGRESSED: external(
    'The input is shorter or other than the checkpoint knows: restore it, or start over with --fresh.'
  ),
  INPUT_SKIPPED: external(
    'The topic did not keep what was not read: keep its retention longer than the longest outage. The job goes on, as `onMissing` says.',
    true
  ),
  TOPIC_MISSING: user('Create the topic, or correct its name.'),
  SOURCE_UNREACHABLE: external('Nothing was lost. Look at the named input and the way to it.', true),
  KAFKA_REFUSED: user('Correct the credentials, or give their user the rights listed in docs/kafka.md.'),
  REGISTRY_REFUSED: user('Correct the schema, its subject, or the address and the user of the registry.'),
  OUTPUT_CONFLICT: external('The output holds other bytes under a name Cairn owns: move them away.'),
  SINK_UNREACHABLE: external('Nothing was lost: it is tried again. Look at the named target and the way to it.', true),
  FENCED: external('A newer owner has taken over; this process must stop.'),
  // between workers
  FRAME_MALFORMED: external(
    'The connection was closed and the job begins anew from its last checkpoint; see that only workers of this job can connect.',
    true
  ),
  SPILL_LOST: external(
    'The job begins anew from its last checkpoint, and nothing is lost; look at the disk under the named folder.',
    true
  ),
  PEER_LOST: external(
    'The job begins anew from its last checkpoint; see whether the named worker is up and reachable.',
    true
  ),
  LISTEN_FAILED: user('Use another port or address for data connections, or end the process that holds it.'),
  // the control bus
  BUS_UNREACHABLE: external(
    'See whether NATS runs and can be reached from here. In a worker that runs, events flow on and checkpoints wait until it is back.',
    true
  ),
  BUS_REFUSED: user(
    'Correct the credentials, or give the job the rights listed in docs/nats.md; JetStream must be on.'
  ),
  PACKAGE_MISSING: user('Install the named package next to cairn.'),
  // command line
  USAGE: user('See --help.'),
  JOB_FILE_INVALID: user('Export a job as the default export: export default job(name, build).'),
  SIMULATION_OUTSIDE: user(
    'Name what is outside with `service`, and give it a stand-in in `simulationOf(job, { services: [standIn(…)] })`.'
  ),
  NOT_FOUND: user('Correct the name; the message says what there is.'),
  NOT_RUNNING: user('Start the job first: cairn run <job file>.'),
  INTERNAL: internal('This is a defect of Cairn: please report it with the message.')
} as const satisfies Record<string, ErrorCodeEntry>

export type ErrorCode = keyof typeof errorCodes
