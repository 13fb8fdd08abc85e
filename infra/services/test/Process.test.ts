import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest"
import { kill, type Launch, launch, runningMark, runs, signal, startOf, stop } from "../Process.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-process-"))
const started: Array<Launch> = []

const shell = (name: string, script: string): Launch => ({
  command: "/bin/sh",
  args: ["-c", script],
  cwd: folder,
  log: join(folder, `${name}.log`),
  pidFile: join(folder, `${name}.pid`)
})

const start = async (name: string, script: string) => {
  const what = shell(name, script)
  started.push(what)
  const mark = await launch(what)
  await vi.waitFor(() => expect(readFileSync(what.log, "utf8")).toContain("up"))
  return { what, mark }
}

afterAll(() => rmSync(folder, { recursive: true, force: true }))
beforeEach(() => started.splice(0))
afterEach(async () => {
  for (const what of started) await kill(what)
})
afterEach(() => rmSync(join(folder, "children"), { force: true }))

it("ends a process and what it has started, and forgets its pid", async () => {
  const { what } = await start("tree", `sleep 1000 & echo $! >children; echo up; wait`)
  const pid = Number(readFileSync(join(folder, "children"), "utf8"))
  const child = { pid, started: startOf(pid) ?? "", command: "sleep" }
  expect(runs(child)).toBe(true)
  expect(await stop(what, 5_000)).toBe(false)
  expect(existsSync(what.pidFile)).toBe(false)
  await vi.waitFor(() => expect(runs(child)).toBe(false))
})

it("kills what does not end within its time, and says so", async () => {
  const { mark, what } = await start("deaf", `trap '' TERM; echo up; while :; do sleep 0.1; done`)
  expect(await stop(what, 300)).toBe(true)
  expect(runs(mark)).toBe(false)
})

it("a paused process can be stopped in order", async () => {
  const { what } = await start("paused", `trap 'echo farewell; exit 0' TERM; echo up; while :; do sleep 0.1; done`)
  expect(signal(what, "SIGSTOP")).toBe(true)
  expect(await stop(what, 5_000)).toBe(false)
  expect(readFileSync(what.log, "utf8")).toContain("farewell")
})

it("a process has what it inherits and what it is given beside, also when it is started again", async () => {
  const what = { ...shell("given", `echo "$PARLEY_TEST_GIVEN and \${PATH:+a path}"; echo up; sleep 1000`) }
  const given = { ...what, environment: { PARLEY_TEST_GIVEN: "given" } }
  started.push(given)
  for (let start = 0; start < 2; start++) {
    await launch(given)
    await vi.waitFor(() => expect(readFileSync(what.log, "utf8").match(/given and a path/g)).toHaveLength(start + 1))
    await kill(given)
  }
})

it("never touches a process that has the pid by chance", async () => {
  const stranger = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
  try {
    const what = shell("reused", "")
    const { pid } = stranger
    writeFileSync(what.pidFile, JSON.stringify({ pid, started: "another boot 123", command: "sleep" }))
    expect(runningMark(what.pidFile)).toBeUndefined()
    expect(signal(what, "SIGKILL")).toBe(false)
    await stop(what, 1_000)
    expect(startOf(pid ?? 0)).toBeDefined()
  } finally {
    stranger.kill("SIGKILL")
  }
})

it.each([
  ["is empty", ""],
  ["is cut off", '{"pid": 12'],
  ["names all processes", '{"pid": 1, "started": "x", "command": "x"}'],
  ["names its reader's own group", '{"pid": 0, "started": "x", "command": "x"}']
])("a pid file that %s names nobody", (_, text) => {
  const what = shell("damaged", "")
  writeFileSync(what.pidFile, text)
  expect(runningMark(what.pidFile)).toBeUndefined()
})

it("a program that is not there is an error that names it", async () => {
  const what = { ...shell("absent", ""), command: "/nowhere/nats-server" }
  await expect(launch(what)).rejects.toThrow("/nowhere/nats-server could not be started")
})
