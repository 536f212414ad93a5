/**
 * What is written without a framework: a handler for each message that waits until the new state is in LevelDB. A crash between that and the
 * output, or the offset, loses or doubles it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { EventBytes, Payment } from './events.ts'

export async function today(events: EventBytes): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-bench-today-'))
  const stored = new Level<string, string>(folder)
  try {
    await stored.open()
    const accounts = new Map<string, { count: number; total: number }>()
    let written = 0
    const send = (message: Buffer): void => void (written += message.length)
    const handle = async (message: Uint8Array): Promise<void> => {
      const { account, amount } = JSON.parse(Buffer.from(message).toString()) as Payment
      const known = accounts.get(account) ?? { count: 0, total: 0 }
      const state = { count: known.count + 1, total: known.total + amount }
      accounts.set(account, state)
      await stored.put(account, JSON.stringify(state))
      send(Buffer.from(JSON.stringify({ account, ...state })))
    }
    for (let i = 0; i < events.count; i++) await handle(events.value(i))
    if (written === 0) throw new Error('nothing came out')
    await stored.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
