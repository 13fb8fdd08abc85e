/**
 * A real server as a process of its own: started, stopped, killed and started again on the same data. What it prints is
 * kept for the message of a failing test. None outlives the test process.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"

const root = join(import.meta.dirname, "../..")
/** A server that is not ready by then has failed to start. */
const startMsMax = 20_000
/** One that has not ended by then is killed. */
export const stopMsMax = 15_000
/** Of what it prints, the newest part is kept. */
const outputCharsMax = 65_536

export interface ServerOptions {
  readonly data: string
  /** Settings, as `PARLEY_…` in the environment. */
  readonly environment?: Readonly<Record<string, string>>
  readonly args?: ReadonlyArray<string>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Loaded into the server before its own code: it ends with the test process, however that ends. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  `setInterval(() => { if (process.ppid !== ${process.pid}) process.kill(process.pid, "SIGKILL") }, 250).unref()`
)}`

const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** Tokens for whoever asks, and rates that a handful of busy test users stay below. */
const testSettings: Readonly<Record<string, string>> = {
  PARLEY_MODE: "development",
  PARLEY_FRAMES_PER_SECOND: "100000",
  PARLEY_SENDS_PER_SECOND: "100000",
  PARLEY_MUTATIONS_PER_SECOND: "100000",
  PARLEY_READS_PER_SECOND: "100000",
  PARLEY_EPHEMERAL_PER_SECOND: "100000",
  PARLEY_CONNECTS_PER_ADDRESS_PER_SECOND: "100000"
}

export class Server {
  readonly #child: ChildProcess
  #output = ""
  /** Undefined before it is ready and after it has ended. */
  url: string | undefined
  readonly exited: Promise<Exit>

  private constructor(options: ServerOptions) {
    const args = ["--import", endWithParent, join(root, "infra/launch.mjs"), "apps/node/src/main.ts", "serve"]
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_"))
    const child = spawn(process.execPath, [...args, "--port", "0", "--data", options.data, ...(options.args ?? [])], {
      cwd: root,
      env: { ...Object.fromEntries(inherited), ...testSettings, ...options.environment },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.#child = child
    running.add(child)
    child.stdout?.on("data", (chunk: Buffer) => this.#print(chunk))
    child.stderr?.on("data", (chunk: Buffer) => this.#print(chunk))
    this.exited = new Promise((resolve) => {
      child.on("error", (error) => {
        this.#output += `\n${error.message}`
        resolve({ code: null, signal: null })
      })
      child.on("close", (code, signal) => {
        running.delete(child)
        this.url = undefined
        resolve({ code, signal })
      })
    })
  }

  /** Starts one and does not wait for anything. */
  static launch(options: ServerOptions): Server {
    return new Server(options)
  }

  /** Starts one and waits until it is ready; throws with all it printed where it does not get so far. */
  static async start(options: ServerOptions): Promise<Server> {
    const server = new Server(options)
    if (await server.whenReady()) return server
    await server.kill()
    throw new Error(`the server did not start:\n${server.output}`)
  }

  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** False: it ended, or the time is over. `/livez`: it answers, though it may not want all traffic. */
  async whenReady(probe: "/readyz" | "/livez" = "/readyz"): Promise<boolean> {
    for (const until = Date.now() + startMsMax; Date.now() < until && running.has(this.#child); await delay(10)) {
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(this.#output)?.[0]
      if (url === undefined || !(await answers(url + probe))) continue
      this.url = url
      return true
    }
    return false
  }

  /** `kill -9`, at once. */
  kill(): Promise<Exit> {
    this.url = undefined
    this.#child.kill("SIGKILL")
    return this.exited
  }

  /** The clean way; it has to be over within its deadline. */
  async stop(): Promise<Exit & { readonly inTime: boolean }> {
    let inTime = true
    this.#child.kill("SIGTERM")
    const timer = setTimeout(() => {
      inTime = false
      this.#child.kill("SIGKILL")
    }, stopMsMax)
    const exit = await this.exited
    clearTimeout(timer)
    return { ...exit, inTime }
  }

  #print(chunk: Buffer): void {
    this.#output = (this.#output + chunk.toString()).slice(-outputCharsMax)
  }
}

const answers = async (address: string): Promise<boolean> => {
  try {
    return (await fetch(address, { signal: AbortSignal.timeout(2_000) })).status === 200
  } catch {
    return false
  }
}
