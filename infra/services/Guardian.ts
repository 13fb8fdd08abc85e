/**
 * Ends the services of a data directory when the program they belong to is gone, however it went: a process of its own that
 * reads a pipe from the program, and acts when that closes.
 */
import { spawn } from "node:child_process"
import { rm } from "node:fs/promises"
import { endServices } from "./Ending.ts"
import { readState } from "./State.ts"

export interface Guardian {
  /** The program has ended its services itself. */
  readonly dismiss: () => Promise<void>
}

export interface Guarded {
  readonly data: string
  readonly owner: string
  /** The directory goes as well, unless others have services there. */
  readonly temporary: boolean
}

export const startGuardian = ({ data, owner, temporary }: Guarded): Guardian => {
  const args = [import.meta.filename, data, owner, ...(temporary ? ["--temporary"] : [])]
  const child = spawn(process.execPath, args, { detached: true, stdio: ["pipe", "ignore", "ignore"] })
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
    child.once("error", () => resolve())
  })
  // It waits for this program, not this program for it.
  child.unref()
  return {
    dismiss: async () => {
      child.ref()
      child.stdin.end()
      await ended
    }
  }
}

/** What the guardian does at the end, and the program itself when it ends in order. */
export const endGuarded = async ({ data, owner, temporary }: Guarded): Promise<void> => {
  await endServices(data, { owner, now: temporary })
  const others = readState(data)?.nodes.length ?? 0
  if (temporary && others === 0) await rm(data, { recursive: true, force: true, maxRetries: 5 })
}

if (import.meta.main) {
  const [data, owner, temporary] = process.argv.slice(2)
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => undefined)
  process.stdin.resume()
  process.stdin.once("close", () => {
    if (data !== undefined && owner !== undefined) void endGuarded({ data, owner, temporary: temporary !== undefined })
  })
}
