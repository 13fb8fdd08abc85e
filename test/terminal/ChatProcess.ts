/**
 * `parley chat` as a process of its own, in line mode over pipes or on the full screen of a pseudo terminal (`script` of
 * util-linux makes it, where there is one). What it shows is read as a person would. None outlives the test process.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { join } from "node:path"
import { until } from "./Waiting.ts"

const root = join(import.meta.dirname, "../..")
const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** Of what it prints, the newest part is kept. */
const outputCharsMax = 1_000_000

const commandOf = (user: string, url: string): ReadonlyArray<string> => [
  process.execPath,
  join(root, "infra/launch.mjs"),
  "apps/node/src/main.ts",
  "chat",
  "--as",
  user,
  "--url",
  url
]

class Process {
  readonly user: string
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  errors = ""

  constructor(user: string, command: ReadonlyArray<string>) {
    const [program = "", ...args] = command
    this.user = user
    this.child = spawn(program, args, { cwd: root, stdio: ["pipe", "pipe", "pipe"] })
    running.add(this.child)
    this.child.stderr?.on("data", (chunk: Buffer) => {
      this.errors = (this.errors + String(chunk)).slice(-outputCharsMax)
    })
    // The process may be gone when something is typed.
    this.child.stdin?.on("error", () => {})
    this.exited = new Promise((resolve) =>
      this.child.on("close", (code) => {
        running.delete(this.child)
        resolve(code)
      })
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL")
    await this.exited
  }
}

export class LineChat extends Process {
  #text = ""

  constructor(user: string, url: string) {
    super(user, commandOf(user, url))
    this.child.stdout?.on("data", (chunk: Buffer) => {
      this.#text = (this.#text + String(chunk)).slice(-outputCharsMax)
    })
  }

  get lines(): ReadonlyArray<string> {
    return this.#text.split("\n").slice(0, -1)
  }

  say(...lines: ReadonlyArray<string>): void {
    for (const line of lines) this.child.stdin?.write(`${line}\n`)
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length
  }

  /** Until the line was printed, after the first `after` lines. */
  sees(pattern: RegExp, after = 0): Promise<void> {
    return until(
      `${this.user} sees ${pattern}`,
      () => this.lines.slice(after).some((line) => pattern.test(line)),
      () => `${this.#text}${this.errors}`
    )
  }
}

/** Whether this machine can make a terminal. */
export const hasTerminals =
  spawnSync("script", ["-qec", "test -t 0", "/dev/null"], { stdio: ["ignore", "ignore", "ignore"] }).status === 0

export interface ScreenOptions {
  /** Where its standard error goes, and its process id. */
  readonly errorsFile: string
  readonly pidFile: string
  /** A session of its own: the kernel tells it nothing when the terminal goes away. */
  readonly untold?: boolean
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

export class ScreenChat extends Process {
  #raw = ""
  #unread = ""
  #rows: Array<string> = []

  constructor(user: string, url: string, { errorsFile, pidFile, untold = false }: ScreenOptions) {
    const program = commandOf(user, url).map(quoted).join(" ")
    const inner = `echo $$ > ${quoted(pidFile)}; exec ${program} 2> ${quoted(errorsFile)}`
    const shell = `stty rows 24 cols 100; exec ${untold ? "setsid --wait " : ""}sh -c ${quoted(inner)}`
    super(user, ["script", "-qfec", shell, "/dev/null"])
    this.child.stdout?.on("data", (chunk: Buffer) => this.#heard(String(chunk)))
  }

  /** All that was written to the terminal. */
  get raw(): string {
    return this.#raw
  }

  get screen(): string {
    return this.#rows.join("\n")
  }

  type(keys: string): void {
    this.child.stdin?.write(keys)
  }

  shows(pattern: RegExp): Promise<void> {
    return until(
      `${this.user}'s screen shows ${pattern}`,
      () => pattern.test(this.screen),
      () => `${this.screen}\n${this.errors}`
    )
  }

  /** The program writes whole rows, each at its place, and marks the end of each painting. */
  #heard(text: string): void {
    this.#raw = (this.#raw + text).slice(-outputCharsMax)
    this.#unread += text
    const end = this.#unread.lastIndexOf("\x1b[?2026l")
    if (end === -1) return
    const painted = this.#unread.slice(0, end)
    this.#unread = this.#unread.slice(end)
    const clear = painted.lastIndexOf("\x1b[2J")
    if (clear !== -1) this.#rows = []
    for (const [, row, line = ""] of painted.slice(clear + 1).matchAll(rowPattern)) {
      this.#rows[Number(row) - 1] = line.replace(stylePattern, "")
    }
  }
}

// oxlint-disable-next-line no-control-regex -- control sequences are what a terminal gets
const rowPattern = /\x1b\[(\d+);1H\x1b\[0m([\s\S]*?)\x1b\[0m(?=\x1b\[\d+;\d+H)/g
// oxlint-disable-next-line no-control-regex -- as above
const stylePattern = /\x1b\[[0-9;]*m/g
