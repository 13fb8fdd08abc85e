/**
 * What an operator meets: a second server on the same data, data that is damaged, a port that is taken, a clean stop.
 * Each ends within its time, with an exit code and a sentence that says what to do.
 */
import { createHash } from "node:crypto"
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

it("a second server on the same data ends with a message that names the first, which goes on", async () => {
  await using folder = await Folder.make()
  const first = await Server.start({ data: folder.in("data") })
  try {
    const second = Server.launch({ data: folder.in("data") })
    const { code } = await second.exited
    expect(code, second.output).toBe(1)
    expect(second.output).toContain(`is in use by process ${first.pid}`)
    expect(second.output).toContain("give this server another --data")
    expect(await first.whenReady(), first.output).toBe(true)
  } finally {
    await first.kill()
  }
})

it("a server that was killed leaves no lock behind", async () => {
  await using folder = await Folder.make()
  const first = await Server.start({ data: folder.in("data") })
  await first.kill()
  const second = await Server.start({ data: folder.in("data") })
  await second.kill()
})

it("a taken port is said, with its number", async () => {
  await using folder = await Folder.make()
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
  const address = taken.address()
  const port = typeof address === "object" && address !== null ? String(address.port) : ""
  try {
    const server = Server.launch({ data: folder.in("data"), args: ["--port", port] })
    const { code } = await server.exited
    expect(code, server.output).toBe(1)
    expect(server.output).toMatch(new RegExp(`${port}.*(in use|taken)`))
  } finally {
    taken.close()
  }
})

it("a clean stop under load ends with 0 in time, and the next start has everything", { timeout: 60_000 }, async () => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  const options = { data: folder.in("data"), environment: { PARLEY_DRAIN_WINDOW_MS: "200", PARLEY_DRAIN_DEADLINE_MS: "1000" } }
  let server: Server | undefined = await Server.start(options)
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 2_000, pauseMs: 20 })
  try {
    await workload.prepare()
    workload.begin()
    await new Promise<void>((resolve) => workload.whenAcked(200, resolve))
    const { output } = server
    const { code, inTime } = await server.stop()
    expect(inTime, server.output).toBe(true)
    expect(code, server.output).toBe(0)
    expect(output).not.toMatch(/level=(ERROR|FATAL)/i)
    server = await Server.start(options)
    await new Promise<void>((resolve) => workload.whenAcked(50, resolve))
    await workload.end(5_000)
    const { report, violations } = await verdict(workload, () => server, random, 8_000)
    expect(violations.length, report).toBe(0)
  } finally {
    await workload.stop()
    await server?.kill()
  }
})

/** Everything that makes up the log and the store. */
const fingerprint = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => statSync(join(folder, name)).isFile() && !/lock|pid/.test(name))
      .map((name) => [name, createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")])
  )

const overwrite = (file: string, at: number, bytes: number): void => {
  const descriptor = openSync(file, "r+")
  writeSync(descriptor, Buffer.alloc(bytes, 0xa5), 0, bytes, at)
  closeSync(descriptor)
}

/** A data directory with some history in it. */
const withHistory = async (data: string, acks: number): Promise<void> => {
  const server = await Server.start({ data, environment: { PARLEY_DRAIN_WINDOW_MS: "0", PARLEY_DRAIN_DEADLINE_MS: "100" } })
  const workload = new Workload({ random: new Random(1), url: () => server.url, mutationsMax: acks, pauseMs: 1 })
  try {
    await workload.prepare()
    workload.begin()
    await new Promise<void>((resolve) => workload.whenAcked(acks / 2, resolve))
    await workload.end(5_000)
  } finally {
    await workload.stop()
    await server.stop()
  }
}

it.for([
  ["log.sqlite", 0],
  ["log.sqlite", 4_096],
  ["store.sqlite", 0]
] as const)("%s with flipped bytes at %i is refused, and left as it is", { timeout: 60_000 }, async ([name, at]) => {
  await using folder = await Folder.make()
  const data = folder.in("data")
  await withHistory(data, 200)
  overwrite(join(data, name), at, 2_048)
  const before = fingerprint(data)
  const server = Server.launch({ data })
  const { code } = await server.exited
  expect(code, server.output).toBe(1)
  expect(server.output).toMatch(/is damaged.*restore it from a backup/)
  expect(server.output).toContain(name)
  expect(fingerprint(data)).toEqual(before)
})
