/**
 * The short set of faults on a cluster of real processes and services: three nodes, three NATS servers, Cassandra, Redis,
 * each in a network namespace where the machine makes them. `npm run test:faults` has the long one, and a report.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { FaultResult } from "./FaultRun.ts"
import { faults } from "./Faults.ts"

const root = join(import.meta.dirname, "../..")
/** The first one waits for the cluster's start as well, which takes minutes on a machine that others use. */
const faultMsMax = 1_200_000
const endMsMax = 60_000
const outputCharsMax = 8_192

type Line = FaultResult | { readonly fault: string; readonly notRun: string }
/** What the last line says instead of a fault. */
interface Permissions {
  readonly permissions: unknown
}

describe("a cluster keeps its promises", () => {
  const lines = new Map<string, Line>()
  let child: ChildProcess | undefined
  let output = ""
  let permissions: unknown
  let ended: Promise<void> = Promise.resolve()
  let wake: () => void = () => undefined

  beforeAll(() => {
    const args = [join(root, "infra/launch.mjs"), "test/faults/main.ts", "--short"]
    const started = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    child = started
    createInterface({ input: started.stdout }).on("line", (text) => {
      const line = JSON.parse(text) as Line | Permissions // a line of `main.ts`
      if ("permissions" in line) permissions = line.permissions
      else lines.set(line.fault, line)
      wake()
    })
    started.stderr.on("data", (data: Buffer) => (output = (output + data.toString()).slice(-outputCharsMax)))
    ended = new Promise((resolve) =>
      started.once("close", () => {
        resolve()
        wake()
      })
    )
  })
  afterAll(async () => {
    child?.kill("SIGTERM")
    await ended
  }, endMsMax)

  const lineOf = async (fault: string): Promise<Line> => {
    for (;;) {
      const line = lines.get(fault)
      if (line !== undefined) return line
      if (child?.exitCode !== null || child.signalCode !== null) throw new Error(`it was not run:\n${output}`)
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }

  for (const fault of faults.filter(({ short }) => short)) {
    it(`${fault.name}: ${fault.about}`, { timeout: faultMsMax }, async (ctx) => {
      const line = await lineOf(fault.name)
      if ("notRun" in line) return ctx.skip(line.notRun)
      expect(line.sound ? "sound" : `seed ${line.seed}: ${line.notes.join("; ")}\n${line.report}`).toBe("sound")
    })
  }

  it("no node tries what its user at NATS may not do, with or without a fault", { timeout: faultMsMax }, async () => {
    await ended
    expect(permissions).toBe("enough")
  })
})
