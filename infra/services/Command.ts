/** Programs that run to their end: found on PATH, run within a named time, their last words kept for the error. */
import { type SpawnOptions, spawn } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { ServicesError } from "./ServicesError.ts"

/** What is kept of a program's output, of each kind. */
const outputCharsMax = 64_000

export interface Ran {
  /** What it printed on stdout, and on stderr. */
  readonly output: string
  readonly errors: string
}

export interface RunOptions {
  readonly msMax: number
  readonly environment?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/** Fails with the program's last lines if it can't be started, ends with another code than 0 or takes longer. */
export const run = (command: string, args: ReadonlyArray<string>, options: RunOptions): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const { cwd, environment, msMax } = options
    const spawnOptions: SpawnOptions = {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: msMax,
      killSignal: "SIGKILL",
      env: environment ?? process.env,
      ...(cwd === undefined ? {} : { cwd })
    }
    const started = Date.now()
    const child = spawn(command, args, spawnOptions)
    let output = ""
    let errors = ""
    child.stdout?.on("data", (chunk) => (output = (output + chunk).slice(-outputCharsMax)))
    child.stderr?.on("data", (chunk) => (errors = (errors + chunk).slice(-outputCharsMax)))
    child.on("error", (error) => reject(new ServicesError(`${command} could not be started: ${error.message}`)))
    child.on("close", (code, signal) => {
      if (code === 0) return resolve({ output, errors })
      const how =
        signal !== null && Date.now() - started >= msMax
          ? `took longer than ${msMax / 1_000} s`
          : `ended with ${code ?? signal}`
      const lastWords = (errors.trim() === "" ? output : errors).trim().split("\n").slice(-5).join("\n  ")
      reject(new ServicesError(`${[command, ...args.slice(0, 2)].join(" ")} … ${how}:\n  ${lastWords}`))
    })
  })

/** The path of a program on PATH. */
export const onPath = (program: string, environment: NodeJS.ProcessEnv): string | undefined => {
  for (const folder of (environment["PATH"] ?? "").split(delimiter)) {
    const path = join(folder === "" ? "." : folder, program)
    if (isExecutable(path)) return path
  }
  return undefined
}

export const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Installs Debian packages, where this machine and user may. */
export const aptInstall = async (packages: ReadonlyArray<string>, environment: NodeJS.ProcessEnv): Promise<void> => {
  const what = packages.join(" ")
  if (onPath("apt-get", environment) === undefined || process.getuid?.() !== 0) {
    throw new ServicesError(
      `${what} can't be installed by this user: install it as your system does (Debian: apt-get install ${what}).`
    )
  }
  const apt = (args: ReadonlyArray<string>) =>
    run(
      "apt-get",
      ["-qq", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "DPkg::Lock::Timeout=60", ...args],
      {
        msMax: aptMsMax,
        environment: { ...environment, DEBIAN_FRONTEND: "noninteractive" }
      }
    )
  // The lists may be good enough when they can't be renewed.
  await apt(["update"]).catch(() => undefined)
  await apt(["install", "-y", "--no-install-recommends", ...packages])
}

const aptMsMax = 300_000
