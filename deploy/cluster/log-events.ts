/** Every event that a worker's log may tell, with its level. Names stay as they are, for those who search by them; docs/operations.md explains each. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export const logEvents = {
  'metrics.listening': 'info',
  'worker.state': 'info',
  'worker.stood-still': 'warn',
  'worker.leaving': 'info',
  'worker.ended': 'info',
  'worker.failed': 'error',
  'store.opened': 'info',
  'leader.elected': 'info',
  'leader.ended': 'info',
  'leader.resigned': 'warn',
  'generation.failed': 'warn',
  'generation.given-up': 'warn',
  'checkpoint.completed': 'debug',
  'checkpoint.failed': 'warn',
  'latency.missed': 'warn',
  'latency.kept': 'info',
  'control.away': 'warn',
  'control.back': 'info',
  'storage.back': 'info',
  'connection.refused': 'warn',
  'outside.trouble': 'warn'
} as const satisfies Record<string, LogLevel>

export type LogEvent = keyof typeof logEvents
