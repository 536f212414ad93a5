/** Loaded before Cairn, with a channel to the bench (`--profile`): profiles from one message to the next, and answers with the shares of the stages. */
import { CpuProfile } from '../profiles.ts'

let running: CpuProfile | undefined
process.on('message', () => {
  void (async () => {
    if (running === undefined) running = await CpuProfile.start()
    else process.send?.(await running.stop())
  })()
})
