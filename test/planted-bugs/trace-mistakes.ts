/** Of what records carry besides: see `mistakes.ts`. */
import type { Mistake } from './mistakes.ts'

const handlers = 'runtime/core/handler-runner.js'
const messages = 'runtime/core/recorded-messages.js'

export const traceMistakes: readonly Mistake[] = [
  {
    name: 'an output carries the trace context of the event before it',
    changes: [
      [
        handlers,
        'outputs.trace = context.trace; outputs.staged = context.staged; const port',
        'outputs.staged = context.staged; const port'
      ],
      [
        handlers,
        'port.push?.(value, time, context.origin, context.offset, path);',
        'port.push?.(value, time, context.origin, context.offset, path); outputs.trace = context.trace;'
      ]
    ]
  },
  {
    name: 'a trace context is lost where an event waits for the checkpoint that holds it',
    changes: [[messages, 'const trace = reader.string();', "const trace = (reader.string(), '');"]]
  }
]
