/** Commands to a cluster: nothing answers them, and any may be lost; they are repeated until what is heard shows that they were obeyed. */
import type { Command as ProgramCommand } from 'commander'
import type { Lineages } from '../../checkpoint/lineages.ts'
import { encodeMessage, subjects, type Command } from '../../runtime/core/cluster-messages.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { findJob } from '../job-reference.ts'
import { settingsOf } from '../settings/command-settings.ts'
import { connectionProblems, connectionSettings } from '../settings/tables.ts'
import { connectCluster } from './connection.ts'
import { listen, type Look, type Seen } from './look.ts'
import { usualTiming } from './timing.ts'

export interface Asking {
  /** The job's name. */
  readonly job: string
  readonly look: Look
  /** What it has stored. */
  readonly lineages: Lineages
  /** Sends what `command` says now, again and again, until `obeyed` finds something. */
  insist<T>(
    command: (seen: Seen) => Command | undefined,
    obeyed: (seen: Seen) => T | undefined | Promise<T | undefined>
  ): Promise<T>
  /** Rejects with NOT_RUNNING when no leader is heard. */
  leader(): Promise<void>
}

const againMs = 250
/** Somebody who lives is heard within that time. */
export const heardWithinMs = 3 * usualTiming.lostAfterMs

export async function askCluster(
  name: string,
  /** Which has `connectionSettings`. */
  asked: ProgramCommand,
  work: (asking: Asking) => Promise<void>
): Promise<void> {
  const settings = settingsOf(asked, connectionSettings, connectionProblems)
  const { name: job } = await findJob(name, settings.storage)
  const { bus, lineages } = await connectCluster(job, settings, usualTiming.leaseMs, false)
  const look = listen(job, bus)
  try {
    await work({
      job,
      look,
      lineages,
      async insist(command, obeyed) {
        const send = (): void => {
          const now = command(look.seen)
          if (now !== undefined) bus.publish(`${job}.${subjects.commands}`, encodeMessage(now))
        }
        const again = setInterval(send, againMs)
        try {
          return (await look.until(obeyed, Infinity)) as NonNullable<Awaited<ReturnType<typeof obeyed>>>
        } finally {
          clearInterval(again)
        }
      },
      async leader() {
        if ((await look.until(({ directive }) => directive, heardWithinMs)) === undefined)
          throw new CodedError('NOT_RUNNING', `job "${job}": no leader is heard`)
      }
    })
  } finally {
    look.close()
    await bus.close()
  }
}
