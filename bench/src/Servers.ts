/**
 * Starts the server under test, or a baseline, as a process of its own with all its threads on core 0; the generator
 * runs on core 1. Reads CPU and memory of all its threads from /proc.
 *
 * `BENCH_PROFILE=DIR` makes the server write a CPU profile of each of its threads when it stops; `BENCH_TREE=DIR` takes
 * the server of another checkout, to compare two versions in the same way.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "..")
const node = process.execPath

export const serverCore = 0
export const generatorCore = 1

/** What is measured of one server, or of all processes of a cluster. */
export interface CpuSource {
  /** CPU seconds of all its threads since it started. */
  cpuSeconds(): number
  /** The same of each thread, or process, by its name. */
  cpuByThread(): Readonly<Record<string, number>>
}

export interface RunningServer extends CpuSource {
  readonly port: number
  readonly pid: number
  readonly data: string
  /** From the start of the process until it listened. */
  readonly startMs: number
  rssBytes(): number
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Limits well above the load: they are evaluated, and don't fire. */
export const wideLimits: Readonly<Record<string, string>> = {
  PARLEY_SENDS_PER_SECOND: "1000000",
  PARLEY_MUTATIONS_PER_SECOND: "1000000",
  PARLEY_READS_PER_SECOND: "1000000",
  PARLEY_FRAMES_PER_SECOND: "1000000",
  PARLEY_CONNECTS_PER_ADDRESS_PER_SECOND: "1000000",
  PARLEY_UNAUTHENTICATED_PER_ADDRESS_MAX: "100000",
  PARLEY_SOCKETS_PER_ADDRESS_MAX: "100000",
  PARLEY_OUTBOUND_HARD_BYTES: String(64 * 1024 * 1024),
  PARLEY_OUTBOUND_SOFT_BYTES: String(32 * 1024 * 1024)
}
export const benchSecret = "bench-secret-bench-secret-bench-secret"

/** Node runs as `npm start` runs it: with the flags of that script (one thread for collecting, a nursery that a burst fits into). */
export const startFlags: ReadonlyArray<string> = (
  /"start": "node (.*?) infra\/launch\.mjs/.exec(readFileSync(join(root, "package.json"), "utf8"))?.[1] ?? ""
).split(" ")
const nodeFlags = [...startFlags, "--expose-gc"]

const startMsMax = 120_000

/** Resolves with the port once the server says where it listens; the rest of its output is read and dropped. */
const listening = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    let out = ""
    const timer = setTimeout(
      () => reject(new Error(`the server is not ready after ${startMsMax} ms:\n${out}`)),
      startMsMax
    )
    const read = (chunk: Buffer) => {
      if (out.length < 65_536) out += chunk.toString()
      const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(out)
      if (found === null) return
      clearTimeout(timer)
      resolve(Number(found[1]))
    }
    child.stdout?.on("data", read)
    child.stderr?.on("data", read)
    child.once("exit", (code) => {
      clearTimeout(timer)
      reject(new Error(`the server ended with ${code}:\n${out}`))
    })
  })

/** Threads' CPU in ns is in schedstat; the process's own sum also has threads that ended. */
const threadSeconds = (pid: number): Readonly<Record<string, number>> => {
  const seconds: Record<string, number> = {}
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim()
      const [ns] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")
      seconds[name] = (seconds[name] ?? 0) + Number(ns) / 1e9
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return seconds
}

interface StartOptions {
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly data: string
  /** Leave the data when it stops. */
  readonly keep: boolean
  readonly tree?: string
  readonly flags?: ReadonlyArray<string>
}

/** Ports of servers that were told to stop: connections to them may end. */
export const stoppedPorts = new Set<number>()

const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

const start = async ({ args, data, env, flags = [], keep, tree = root }: StartOptions): Promise<RunningServer> => {
  const at = performance.now()
  const child = spawn("taskset", ["-c", String(serverCore), node, ...nodeFlags, ...flags, ...args], {
    cwd: tree,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.add(child)
  child.once("exit", () => running.delete(child))
  const port = await listening(child)
  stoppedPorts.delete(port)
  const startMs = performance.now() - at
  const { pid = 0 } = child
  return {
    port,
    pid,
    data,
    startMs,
    cpuSeconds: () => Object.values(threadSeconds(pid)).reduce((sum, seconds) => sum + seconds, 0),
    cpuByThread: () => threadSeconds(pid),
    rssBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024,
    stop: (signal = "SIGTERM") =>
      new Promise((resolve) => {
        stoppedPorts.add(port)
        const done = () => {
          if (!keep) rmSync(data, { recursive: true, force: true })
          resolve()
        }
        if (child.exitCode !== null || child.signalCode !== null) return done()
        child.once("exit", done)
        // A profile is written by a thread that ends.
        child.kill(process.env["BENCH_PROFILE"] === undefined ? signal : "SIGTERM")
      })
  }
}

export const newDataDirectory = (): string => mkdtempSync(join(tmpdir(), "parley-bench-"))

export interface ParleyOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly data?: string
  readonly keep?: boolean
  /** Of node, before the script. */
  readonly flags?: ReadonlyArray<string>
}

export const startParley = (options: ParleyOptions = {}): Promise<RunningServer> => {
  const data = options.data ?? newDataDirectory()
  const profiles = process.env["BENCH_PROFILE"]
  return start({
    args: ["infra/launch.mjs", "apps/node/src/main.ts", "serve", "--port", "0", "--data", data],
    env: {
      ...wideLimits,
      PARLEY_AUTH_SECRET: benchSecret,
      PARLEY_DRAIN_WINDOW_MS: "0",
      ...(profiles === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` }),
      ...options.env
    },
    data,
    keep: options.keep ?? false,
    tree: process.env["BENCH_TREE"] ?? root,
    flags: options.flags ?? []
  })
}

export const startBaseline = (mode: "plain" | "coalesced"): Promise<RunningServer> =>
  start({ args: ["bench/src/baseline/BaselineServer.ts", mode], env: {}, data: newDataDirectory(), keep: false })

/** Pins this process, the generator, to the other core. */
export const pinGenerator = (): void => {
  spawnSync("taskset", ["-a", "-p", "-c", String(generatorCore), String(process.pid)])
}

/** CPU of a server and of this process from now on. */
export const watchCpu = (server: CpuSource) => {
  const from = {
    at: performance.now(),
    server: server.cpuSeconds(),
    threads: server.cpuByThread(),
    own: process.cpuUsage()
  }
  return () => {
    const seconds = (performance.now() - from.at) / 1_000
    const own = process.cpuUsage(from.own)
    const threads: Record<string, number> = {}
    for (const [name, total] of Object.entries(server.cpuByThread())) {
      threads[name] = Math.max(0, total - (from.threads[name] ?? 0))
    }
    return {
      seconds,
      /** CPU seconds of the server in this time. */
      serverSeconds: server.cpuSeconds() - from.server,
      threads,
      /** Share of one core that the generator took: near 1, it is the bottleneck. */
      generator: (own.user + own.system) / 1e6 / seconds
    }
  }
}

/** Asks the server to collect its garbage (`serve` and the baseline do so on SIGUSR2 under --expose-gc), and waits for it. */
export const collectGarbage = async (server: RunningServer): Promise<void> => {
  process.kill(server.pid, "SIGUSR2")
  await new Promise((resolve) => setTimeout(resolve, 2_000))
}

const quietShare = 0.1
const quietLookMs = 1_000
const quietMsMax = 60_000

/** Waits until the server does next to nothing, as it does once what is behind the log has caught up. */
export const untilQuiet = async (server: CpuSource): Promise<void> => {
  const deadline = performance.now() + quietMsMax
  for (;;) {
    const before = server.cpuSeconds()
    await new Promise((resolve) => setTimeout(resolve, quietLookMs))
    if (((server.cpuSeconds() - before) * 1_000) / quietLookMs < quietShare) return
    if (performance.now() > deadline) throw new Error(`the server is still busy after ${quietMsMax} ms`)
  }
}
