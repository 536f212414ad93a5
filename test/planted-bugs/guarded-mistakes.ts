/**
 * Mistakes behind which another rule stands: alone they are harmless, as said, and with that rule gone they are noticed. See
 * `mistakes.ts`.
 */
import type { Mistake } from './mistakes.ts'

const connections = 'runtime/shell/connections.js'
const decisions = 'checkpoint/decision-log.js'
const exchange = 'runtime/core/exchange.js'
const leadership = 'runtime/shell/leadership.js'

const uncounted: Mistake['changes'] = [
  [exchange, 'if (sequence !== this.expected) {', 'if (false) {'],
  [connections, 'for (const { stream } of entered.links.values()) stream?.close();', '']
]
const stale = (frames: string): string =>
  `(this.entered ?? entered) === entered ? ${frames} : ${frames}.filter(frame => frame.element?.kind === 'records')`

export const guardedMistakes: readonly Mistake[] = [
  {
    name: 'a decision whose outcome is unknown is taken to have failed',
    changes: [
      [
        leadership,
        'await writer.decide(head); this.head = head;',
        "try { await writer.decide(head); } catch { this.command({ kind: 'checkpoint', command: { kind: 'given-up', epoch } }); return; } this.head = head;"
      ],
      [decisions, 'if (caller.given() || !(error instanceof CodedError)', 'if (true || !(error instanceof CodedError)'],
      [
        'checkpoint/coordinator.js',
        "if (failureTable[reason] === 'repeat' || state.step === 'deciding') return undefined;",
        ''
      ],
      [
        'runtime/core/checkpoint-leader.js',
        "case 'decided':",
        "case 'given-up': this.abandon(this.coordinator.failed(command.epoch, 'manifest', 'unknown'), now, actions); break; case 'decided':"
      ]
    ]
  },
  {
    name: 'frames of an older generation are accepted, and frames are not counted',
    unseen:
      'a credit or a barrier that nobody waits for comes along, and ends the generation before it decides anything',
    changes: [
      ...uncounted,
      [
        connections,
        'early.take = frames => this.deliver(entered, from, frames);',
        'early.take = frames => this.deliver(this.entered ?? entered, from, frames);'
      ],
      [
        connections,
        'this.deliver(entered, peer, reader.push(bytes))',
        'this.deliver(this.entered ?? entered, peer, reader.push(bytes))'
      ]
    ]
  },
  {
    name: 'records of an older generation are accepted, and frames are not counted, nor is credit',
    among: {
      faults: ['stall'],
      why: 'where everything goes wrong hardly a connection is left when what it held comes'
    },
    changes: [
      ...uncounted,
      [exchange, 'if (this.used < 0) throw', 'if (false) throw'],
      [
        connections,
        'early.take = frames => this.deliver(entered, from, frames);',
        `early.take = frames => this.deliver(this.entered ?? entered, from, ${stale('frames')});`
      ],
      [
        connections,
        'this.deliver(entered, peer, reader.push(bytes))',
        `{ const frames = reader.push(bytes); this.deliver(this.entered ?? entered, peer, ${stale('frames')}); }`
      ]
    ]
  }
]
