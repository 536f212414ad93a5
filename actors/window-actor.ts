/** Windows as actors: made of nothing that an application's own actors do not have. */
import type { Actor, ActorClass } from './actor.ts'
import { AlignedWindows, alignedSetup, type AlignedSetup } from './window-aligned.ts'
import { lateOutput, type WindowSetup } from './window-base.ts'
import type { WindowContents } from './window-contents.ts'
import { GlobalWindow } from './window-global.ts'
import { SessionWindows } from './window-session.ts'
import { describeWindow, type ResolvedWindowOptions, type Window } from './window.ts'

const outputs = { late: lateOutput }

/**
 * The actor of one window stage. Side output `late`: events none of whose windows is kept any more.
 * The window and what it keeps are the stored identity: other code takes the state only if both are the same.
 */
export function windowActor(
  window: Window,
  options: ResolvedWindowOptions,
  contents: WindowContents
): ActorClass<Actor> {
  const { latenessMs, trigger } = options
  const setup: WindowSetup = { window, contents, latenessMs, trigger, processing: window.time === 'processing' }
  const actorName = `${describeWindow(window)} of ${contents.describe}`
  switch (window.kind) {
    case 'tumbling':
    case 'sliding':
      return alignedActor(alignedSetup(setup), actorName)
    case 'session':
      return class extends SessionWindows {
        static readonly actorName = actorName
        static readonly outputs = outputs
        override get setup(): WindowSetup {
          return setup
        }
      }
    case 'global':
      return class extends GlobalWindow {
        static readonly actorName = actorName
        static readonly outputs = outputs
        override get setup(): WindowSetup {
          return setup
        }
      }
  }
}

function alignedActor(setup: AlignedSetup, actorName: string): ActorClass<Actor> {
  return class extends AlignedWindows {
    static readonly actorName = actorName
    static readonly outputs = outputs
    override get setup(): AlignedSetup {
      return setup
    }
  }
}
