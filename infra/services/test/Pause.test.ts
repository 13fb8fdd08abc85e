import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { afterAll, expect, it, vi } from "vitest"
import { untilPaused } from "../Pause.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-pause-"))
const started: Array<ChildProcess> = []

/** Several threads, each writing to its standard output as fast as it can. */
const busy = `
const { Worker, isMainThread } = require("node:worker_threads")
const fs = require("node:fs")
if (isMainThread) for (let at = 0; at < 3; at++) new Worker(__filename)
else for (let at = 0; at < 2e6; at++) fs.writeSync(1, "x")
`

afterAll(() => {
  for (const child of started) child.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

it("after SIGSTOP no thread of a process does anything any more", async () => {
  const script = join(folder, "busy.cjs")
  const written = join(folder, "written")
  writeFileSync(script, busy)
  const child = spawn(process.execPath, [script], { stdio: ["ignore", openSync(written, "w"), "inherit"] })
  started.push(child)
  for (let round = 0; round < 20; round++) {
    const before = statSync(written).size
    await vi.waitFor(() => expect(statSync(written).size).toBeGreaterThan(before), { timeout: 20_000, interval: 1 })
    child.kill("SIGSTOP")
    untilPaused(child.pid ?? 0)
    const { size } = statSync(written)
    await delay(5)
    expect(statSync(written).size).toBe(size)
    child.kill("SIGCONT")
  }
})

it("a shell is paused that waits for a child to begin its program, which was stopped before it did", async () => {
  // In one pause of some hundred it is caught just there.
  for (let round = 0; round < 150; round++) {
    const child = spawn("/bin/sh", ["-c", "while :; do /bin/true; done"], { detached: true, stdio: "ignore" })
    started.push(child)
    const { pid } = child
    if (pid === undefined) throw new Error("no shell could be started")
    await delay(5 + Math.random() * 5)
    process.kill(-pid, "SIGSTOP")
    untilPaused(pid)
    process.kill(-pid, "SIGKILL")
  }
})

it("one that has ended is waited for no longer", async () => {
  const child = spawn("true")
  const ended = new Promise((resolve) => child.once("exit", resolve))
  await ended
  untilPaused(child.pid ?? 0)
})
