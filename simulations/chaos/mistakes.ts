/** Mistakes that the checker of a chaos run must notice on real processes, as patches of a copy of the build (`patched-build.ts`). */
import type { Patch } from '../patched-build.ts'

export interface Mistake {
  readonly name: string
  readonly patches: readonly Patch[]
}

export const mistakes: readonly Mistake[] = [
  {
    name: 'sources go on one record too far after a recovery',
    patches: [
      {
        file: 'runtime/core/source-task.js',
        find: 'position: partition.position,',
        replace:
          'position: partition.batch === undefined ? partition.position : partition.index + 1 < partition.batch.count ? partition.batch.offset(partition.index + 1) : partition.next,'
      }
    ]
  },
  {
    name: 'timers are not restored',
    patches: [{ file: 'runtime/core/entry.js', find: 'queue.arm(entry, name, at);', replace: '' }]
  },
  {
    name: 'messages that a checkpoint has recorded are dropped at recovery',
    patches: [
      {
        file: 'runtime/core/recorded-messages.js',
        find: 'this.restored.push({ sequence, message });',
        replace: ''
      }
    ]
  },
  {
    name: 'what a checkpoint holds unpublished is forgotten at recovery',
    patches: [
      {
        file: 'runtime/shell/generation.js',
        find: 'outboxes: manifest?.outboxes ?? [] }',
        replace: 'outboxes: [] }'
      }
    ]
  },
  {
    // Late enough that a leader dies in between.
    name: 'workers publish a checkpoint before its decision stands',
    patches: [
      {
        file: 'runtime/shell/leadership.js',
        find: 'await writer.decide(head);',
        replace:
          'new Promise(resolve => setTimeout(resolve, 250)).then(() => writer.decide(head)).catch(() => undefined);'
      }
    ]
  }
]
