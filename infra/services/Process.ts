/**
 * A service's process, in a process group of its own and outliving the program that started it. Its pid file says when
 * it was started as well, so that a pid that the system has given to somebody else is never touched.
 */
import { execFileSync, spawn } from "node:child_process"
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { setPriority } from "node:os"
import { dirname } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { untilPaused } from "./Pause.ts"
import { ServicesError } from "./ServicesError.ts"

/** How it is started, and started again. */
export interface Launch {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  /** Beside what it inherits. */
  readonly environment?: Readonly<Record<string, string>>
  readonly log: string
  readonly pidFile: string
  /** Set where the process is the client of a container: signals go to the container then. */
  readonly container?: { readonly engine: string; readonly name: string }
  /** Others on the machine go first where it is busy: nobody waits for what it does. */
  readonly yields?: boolean
}

export interface ProcessMark {
  readonly pid: number
  /** The instant of its start, as the system counts; two processes with one pid differ in it. */
  readonly started: string
  /** For who reads the file. */
  readonly command: string
}

const pollMs = 50
/** From SIGKILL to gone: the kernel's work, slow only where a disk is. */
const killMsMax = 10_000

/** Starts it; its output goes to the end of its log. It may end at once: see `Readiness`. */
export const launch = async (what: Launch): Promise<ProcessMark> => {
  removeContainer(what)
  mkdirSync(dirname(what.log), { recursive: true })
  const log = openSync(what.log, "a", 0o600)
  try {
    const child = spawn(what.command, what.args, {
      cwd: what.cwd,
      env: { ...process.env, ...what.environment },
      detached: true,
      stdio: ["ignore", log, log]
    })
    const failed = new Promise<never>((_resolve, reject) => child.once("error", reject))
    const { pid } = child
    if (pid === undefined) return await failed
    // Before anything is waited for: a process without its pid file would be left behind.
    const mark = { pid, started: startOf(pid) ?? "ended", command: what.command }
    writeFileSync(what.pidFile, `${JSON.stringify(mark)}\n`, { mode: 0o600 })
    if (what.yields === true) yieldTo(pid)
    child.unref()
    return mark
  } catch (error) {
    throw new ServicesError(`${what.command} could not be started: ${error instanceof Error ? error.message : error}`)
  } finally {
    closeSync(log)
  }
}

/** Of the machine's time it gets a third of what another gets, where all want all of it. */
const yieldingNiceness = 5

/** Before it has threads of its own, which inherit it. Linux schedules sessions before processes (`sched_autogroup`). */
const yieldTo = (pid: number): void => {
  try {
    setPriority(pid, yieldingNiceness)
    writeFileSync(`/proc/${pid}/autogroup`, String(yieldingNiceness))
  } catch {
    // It has ended, or this system has no such thing: then it is a process like all others.
  }
}

/** The process of a pid file, if it is that very one and still runs. */
export const runningMark = (pidFile: string): ProcessMark | undefined => {
  const mark = readMark(pidFile)
  return mark !== undefined && runs(mark) ? mark : undefined
}

const readMark = (pidFile: string): ProcessMark | undefined => {
  try {
    const { command, pid, started } = JSON.parse(readFileSync(pidFile, "utf8"))
    // 0 and 1 would be one's own group and all processes, once they are negated.
    const isMark = Number.isSafeInteger(pid) && pid > 1 && typeof started === "string" && typeof command === "string"
    return isMark ? { pid, started, command } : undefined
  } catch {
    return undefined
  }
}

export const runs = ({ pid, started }: ProcessMark): boolean => startOf(pid) === started && !isZombie(pid)

/** What tells a process from all others that had or will have its pid; none once it has ended. */
export const startOf = (pid: number): string | undefined => {
  try {
    if (process.platform !== "linux") {
      const started = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim()
      return started === "" ? undefined : started
    }
    // Clock ticks since boot, so the boot belongs to it. The command in brackets may hold anything: count from its end.
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")
    return fields?.[19] === undefined ? undefined : `${boot} ${fields[19]}`
  } catch {
    return undefined
  }
}

/** Ended, not yet waited for, and without a thread left: a dying JVM shows Z while its sockets are still open. */
const isZombie = (pid: number): boolean => {
  if (process.platform !== "linux") return false
  try {
    return (
      /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) && readdirSync(`/proc/${pid}/task`).length <= 1
    )
  } catch {
    return true
  }
}

/** To the process and those it started; false if it does not run any more. After SIGSTOP it does nothing any more. */
export const signal = (what: Launch, name: NodeJS.Signals): boolean => {
  const mark = runningMark(what.pidFile)
  if (mark === undefined) return false
  try {
    if (what.container !== undefined) {
      const { engine, name: container } = what.container
      execFileSync(engine, ["kill", "--signal", name.slice(3), container], { stdio: "ignore", timeout: killMsMax })
    } else {
      process.kill(-mark.pid, name)
    }
  } catch {
    return false
  }
  if (name === "SIGSTOP" && what.container === undefined) untilPaused(mark.pid)
  return true
}

/** Asks it to end, and ends it when it has not within the time. Returns whether it had to be ended. */
export const stop = async (what: Launch, msMax: number): Promise<boolean> => {
  const asked = signal(what, "SIGTERM")
  // One that is paused would look at the request only when it goes on.
  if (asked) signal(what, "SIGCONT")
  const ended = !asked || (await isGone(what, msMax))
  if (!ended || runningMark(what.pidFile) !== undefined) await kill(what)
  forget(what)
  return !ended
}

export const kill = async (what: Launch): Promise<void> => {
  signal(what, "SIGKILL")
  if (!(await isGone(what, killMsMax))) {
    throw new ServicesError(
      `process ${readMark(what.pidFile)?.pid} (${what.command}) does not end after SIGKILL: see whether its disk answers.`
    )
  }
  forget(what)
}

const isGone = async (what: Launch, msMax: number): Promise<boolean> => {
  const end = performance.now() + msMax
  while (runningMark(what.pidFile) !== undefined) {
    if (performance.now() >= end) return false
    await delay(pollMs)
  }
  return true
}

const forget = (what: Launch): void => {
  rmSync(what.pidFile, { force: true })
  removeContainer(what)
}

/** A client that was killed leaves its container. */
const removeContainer = ({ container }: Launch): void => {
  if (container === undefined) return
  try {
    execFileSync(container.engine, ["rm", "--force", container.name], { stdio: "ignore", timeout: killMsMax })
  } catch {
    // It is gone already.
  }
}
