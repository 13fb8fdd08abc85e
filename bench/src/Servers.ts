/**
 * Starts the server under test, or a baseline, as a process of its own on core 0; the generator runs on core 1. Reads
 * CPU and memory of all its threads from /proc.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const root = join(import.meta.dirname, "..", "..")
const node = process.execPath

export interface RunningServer {
  readonly port: number
  readonly pid: number
  readonly data: string
  /** CPU seconds of all its threads since it started. */
  cpuSeconds(): number
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
  PARLEY_OUTBOUND_HARD_BYTES: String(64 * 1024 * 1024),
  PARLEY_OUTBOUND_SOFT_BYTES: String(32 * 1024 * 1024)
}
export const benchSecret = "bench-secret-bench-secret-bench-secret"

const ready = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    let out = ""
    const read = (chunk: Buffer) => {
      out += chunk.toString()
      const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(out)
      if (found !== null) resolve(Number(found[1]))
    }
    child.stdout?.on("data", read)
    child.stderr?.on("data", read)
    child.once("exit", (code) => reject(new Error(`server ended with ${code}:\n${out}`)))
  })

const start = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>, data: string, keep: boolean): Promise<RunningServer> => {
  const flags = ["--single-threaded-gc", "--max-semi-space-size=64", "--expose-gc"]
  const child = spawn("taskset", ["-c", "0", node, ...flags, ...args], {
    cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"]
  })
  const port = await ready(child)
  const pid = child.pid ?? 0
  return {
    port,
    pid,
    data,
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    rssBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024,
    stop: (signal = "SIGTERM") =>
      new Promise((resolve) => {
        const done = () => {
          if (!keep) rmSync(data, { recursive: true, force: true })
          resolve()
        }
        if (child.exitCode !== null || child.signalCode !== null) return done()
        child.once("exit", done)
        child.kill(signal)
      })
  }
}

export const startParley = (options: { readonly env?: Readonly<Record<string, string>>; readonly data?: string; readonly keep?: boolean } = {}) => {
  const data = options.data ?? mkdtempSync(join(tmpdir(), "parley-bench-"))
  return start(
    ["infra/launch.mjs", "apps/node/src/main.ts", "serve", "--port", "0", "--data", data],
    { ...wideLimits, PARLEY_AUTH_SECRET: benchSecret, PARLEY_DRAIN_WINDOW_MS: "0", ...options.env },
    data,
    options.keep ?? false
  )
}

export const startBaseline = (mode: "plain" | "coalesced") =>
  start(["bench/src/baseline/BaselineServer.ts", mode], {}, mkdtempSync(join(tmpdir(), "parley-bench-")), false)

/** Pins this process, the generator, to the other core. */
export const pinGenerator = (): void => {
  spawnSync("taskset", ["-a", "-p", "-c", "1", String(process.pid)])
}
