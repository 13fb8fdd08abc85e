/**
 * SIGSTOP reaches one thread of a process, which stops the others once it gets a processor: on a busy machine a server
 * still answers for some milliseconds. Who pauses one to see what happens without it waits for all of them here.
 */
import { readdirSync, readFileSync } from "node:fs"

/** Far more than it takes; beyond it the process is stuck in the kernel. */
const pauseMsMax = 10_000
const asleep = new Int32Array(new SharedArrayBuffer(4))

/** After SIGSTOP was sent: returns when no thread of it runs any more. Where there is no /proc, at once. */
export const untilPaused = (pid: number): void => {
  if (process.platform !== "linux") return
  const end = performance.now() + pauseMsMax
  while (!isPaused(pid)) {
    if (performance.now() >= end) throw new Error(`process ${pid} still runs ${pauseMsMax} ms after SIGSTOP`)
    Atomics.wait(asleep, 0, 0, 1)
  }
}

/** Ended counts as paused: it does nothing either. */
const isPaused = (pid: number): boolean => {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => threadRests(pid, thread))
  } catch {
    return true
  }
}

/** T is stopped, Z and X have ended. The command in brackets may hold anything: the state follows its last bracket. */
const threadRests = (pid: number, thread: string): boolean => {
  try {
    const state = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").split(") ").at(-1)?.[0]
    return state !== undefined && "TtZX".includes(state)
  } catch {
    return true
  }
}
