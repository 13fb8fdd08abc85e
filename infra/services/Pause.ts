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

/**
 * T is stopped, Z and X have ended. D waits in the kernel: for a disk, or (vfork) for a child to begin its program, for
 * ever where that child has been stopped before it did.
 */
const threadRests = (pid: number, thread: string): boolean => {
  try {
    const state = stateOf(`/proc/${pid}/task/${thread}`)
    if (state !== "D") return "TtZX".includes(state)
    const children = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ")
    return children.some((child) => child !== "" && "Tt".includes(stateOf(`/proc/${child}`)))
  } catch {
    return true
  }
}

/** One letter, see proc(5). The command in brackets may hold anything: the state follows its last bracket. */
const stateOf = (folder: string): string => readFileSync(`${folder}/stat`, "utf8").split(") ").at(-1)?.[0] ?? "?"
