import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeEach, expect, it } from "vitest"
import { environmentOf, shellLines } from "../Environment.ts"
import { removeNodes } from "../Service.ts"
import { readState, type State, stateFile, StateWriter } from "../State.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-state-"))
let data = ""
let count = 0

beforeEach(() => {
  data = join(folder, String(count++))
})
afterAll(() => rmSync(folder, { recursive: true }))

const withNats = (state: State): State => ({
  ...state,
  origins: { ...state.origins, nats: "installed" },
  natsServers: ["nats://127.0.0.1:20001"],
  natsUser: "parley",
  natsPassword: "it's secret"
})

it("what one program wrote another reads, and nobody else", async () => {
  expect(readState(data)).toBeUndefined()
  await StateWriter.with(data, async (writer) => writer.change(withNats))
  expect(readState(data)?.natsServers).toEqual(["nats://127.0.0.1:20001"])
  expect(statSync(stateFile(data)).mode & 0o777).toBe(0o600)
})

it("one program at a time: what two change at once is all there", async () => {
  const add = (name: string) =>
    StateWriter.with(data, async (writer) => {
      await new Promise((resolve) => setImmediate(resolve))
      writer.change((state) => ({ ...state, kept: { ...state.kept, ports: { ...state.kept.ports, [name]: 1 } } }))
    })
  await Promise.all(["one", "two", "three"].map(add))
  expect(Object.keys(readState(data)?.kept.ports ?? {}).toSorted()).toEqual(["one", "three", "two"])
})

it("a service that has ended leaves no address, and its logins are the same next time", async () => {
  await StateWriter.with(data, async (writer) =>
    writer.change((state) => ({ ...withNats(state), redisUrl: "redis://x" }))
  )
  const before = readState(data)
  await StateWriter.with(data, async (writer) => removeNodes(writer, "nats"))
  expect(readState(data)).toEqual({ version: 1, nodes: [], origins: {}, redisUrl: "redis://x", kept: before?.kept })
})

it.each(["", "{}", '{"version": 2, "nodes": [], "kept": {}}', "null"])(
  "a state that this version did not write (%j) is refused and left as it is",
  async (text) => {
    await StateWriter.with(data, async (writer) => writer.change(withNats))
    writeFileSync(stateFile(data), text)
    expect(() => readState(data)).toThrow("not what this version writes")
    await expect(StateWriter.with(data, async () => undefined)).rejects.toThrow("not what this version writes")
  }
)

it("addresses go to the environment of nodes, of tests and of a shell", async () => {
  await StateWriter.with(data, async (writer) => writer.change(withNats))
  // as: it was written just now.
  const state = readState(data) as State
  expect(environmentOf(state, "PARLEY_TEST_")).toEqual({
    PARLEY_TEST_NATS: "nats://127.0.0.1:20001",
    PARLEY_TEST_NATS_USER: "parley",
    PARLEY_TEST_NATS_PASSWORD: "it's secret"
  })
  expect(shellLines(state)).toContain(`export PARLEY_NATS_PASSWORD='it'\\''s secret'`)
})
