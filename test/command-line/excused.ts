/** What does not run against the command line, by file of test/: a reason for all of it, or one for each test. */
const virtualTime = 'moves virtual time; a process lives on the wall clock'
const promised = 'watermarks that the source promises; a topic promises none'
const manyRuns = 'a hundred or more jobs; each would be several processes'
const noDrive = 'drives no job, and starts processes of its own already'

export const excused: Readonly<Record<string, string | Readonly<Record<string, string>>>> = {
  'runtime/core/atomic-handlers': `${manyRuns}; ${virtualTime}`,
  'runtime/core/cold-state': virtualTime,
  'runtime/core/dead-letter': 'its letters go to Kafka, and here are no brokers; deploy/kafka-redrive has some',
  'runtime/core/durable-map': `${manyRuns}; ${virtualTime}`,
  'runtime/core/quarantine': `${manyRuns}; ${virtualTime}`,
  'runtime/core/quarantine-release': {
    'at the end of input everything else ends; started again, the job waits, and then ends too':
      'asks a job that has ended; here each request begins a process',
    'a loop comes to rest around a parked key, and ends once it is released':
      'the fault lives in the process of the test'
  },
  'runtime/core/timers': `${manyRuns}; ${virtualTime}`,
  'runtime/core/ttl': `${manyRuns}; ${virtualTime}`,
  'simulations/seeds': `${manyRuns}; ${virtualTime}`,
  'actors/window-oracle': `${manyRuns}; ${virtualTime}`,
  'actors/dedupe': {
    'what passes is what a list of all that passed would let pass': manyRuns,
    'ids are forgotten: after ten horizons only those of the last one are kept': 'asks for a thousand states'
  },
  'deploy/topics': {
    'killed at every step, from topic to topic: each total once and in order': noDrive,
    'a topic that a source names must be there': noDrive,
    'what is appended while the job runs, or while it does not, comes out exactly once': noDrive,
    'a topic can be written at least once, too': noDrive,
    'starting over moves a damaged log aside, but not one that holds input': noDrive
  },
  'examples/airports': {
    'the demo, killed on the way, says exactly what it says undisturbed': noDrive
  },
  'examples/payments': {
    'no crash, and no failure of the bank, charges anybody twice':
      'runs in the simulator, which has processes of its own'
  },
  'examples/shopping': {
    'a visit ends half an hour after its last click, in whatever order its clicks come, across a crash': promised
  },
  'runtime/core/handler-checks': {
    'state that changes between handlers is noticed': 'what changes it from outside lives in the process of the test'
  },
  'runtime/core/loops': {
    'alarms send into a loop, until its input has ended and it has come to rest': virtualTime
  },
  'simulations/driver': {
    'state, timers and output survive a crash, parallelism 1': promised,
    'state, timers and output survive a crash, parallelism 3': promised
  }
}
