/**
 * What an operator meets: a second server on the same data, data that is damaged, a port that is taken, a clean stop.
 * Each ends within its time, with an exit code and a sentence that says what to do.
 */
import { createHash } from "node:crypto"
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import { recordKey } from "@parley/storage/sqlite/RecordRow"
import { expect, it } from "vitest"
import { Recorder } from "./checker/History.ts"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { Device } from "./wire/Device.ts"
import { developmentToken } from "./wire/Tokens.ts"

const shards = 8

it("a second server on the same data ends with a message that names the first, which goes on", async () => {
  await using folder = await Folder.make()
  const first = await Server.start({ data: folder.in("data") })
  try {
    const second = Server.launch({ data: folder.in("data") })
    const { code } = await second.exited
    expect([code, second.output]).toEqual([1, expect.any(String)])
    expect(second.output).toContain(`is in use by process ${first.pid}`)
    expect(second.output).toContain("give this server another --data")
    expect(await first.whenReady()).toBe(true)
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
    expect([code, server.output]).toEqual([1, expect.any(String)])
    expect(server.output).toMatch(new RegExp(`${port}.*(in use|taken)`))
  } finally {
    taken.close()
  }
})

it("a clean stop under load ends with 0 in time, and the next start has everything", { timeout: 60_000 }, async () => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  const options = {
    data: folder.in("data"),
    environment: { PARLEY_DRAIN_WINDOW_MS: "200", PARLEY_DRAIN_DEADLINE_MS: "1000" }
  }
  let server: Server | undefined = await Server.start(options)
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 2_000, pauseMs: 20 })
  try {
    await workload.prepare()
    workload.begin()
    expect(await workload.untilAcked(200, 10_000)).toBe(true)
    const { output } = server
    const { code, inTime } = await server.stop()
    expect([inTime, code, server.output]).toEqual([true, 0, expect.any(String)])
    expect(output).not.toMatch(/level=(ERROR|FATAL)/i)
    server = await Server.start(options)
    expect(await workload.untilAcked(50, 10_000)).toBe(true)
    await workload.end(5_000)
    expectSound(await verdict(workload, () => server, random, 10_000))
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
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(folder, name)))
          .digest("hex")
      ])
  )

const overwrite = (file: string, at: number, bytes: number): void => {
  const descriptor = openSync(file, "r+")
  writeSync(descriptor, Buffer.alloc(bytes, 0xa5), 0, bytes, at)
  closeSync(descriptor)
}

/** A data directory with some history in it. */
const withHistory = async (data: string, acks: number): Promise<void> => {
  const server = await Server.start({
    data,
    environment: { PARLEY_DRAIN_WINDOW_MS: "0", PARLEY_DRAIN_DEADLINE_MS: "100" }
  })
  const workload = new Workload({ random: new Random(1), url: () => server.url, mutationsMax: acks * 4, pauseMs: 1 })
  try {
    await workload.prepare()
    workload.begin()
    expect(await workload.untilAcked(acks / 2, 10_000)).toBe(true)
    await workload.end(5_000)
  } finally {
    await workload.stop()
    await server.stop()
  }
}

it.for([
  ["log.sqlite", "its head", 0, 2_048],
  ["log.sqlite", "all but its head", 8_192, Infinity],
  ["store.sqlite", "its head", 0, 2_048]
] as const)("%s, damaged in %s, is refused and left as it is", { timeout: 60_000 }, async ([name, _, at, bytes]) => {
  await using folder = await Folder.make()
  const data = folder.in("data")
  await withHistory(data, 200)
  const file = join(data, name)
  overwrite(file, at, Math.min(bytes, statSync(file).size - at))
  const before = fingerprint(data)
  const server = Server.launch({ data })
  // It may not get so far as to be ready.
  if (await server.whenReady()) await server.kill()
  const { code } = await server.exited
  expect([code, server.output]).toEqual([1, expect.any(String)])
  expect(server.output).toMatch(/is damaged.*restore it from a backup/)
  expect(server.output).toContain(name)
  expect(fingerprint(data)).toEqual(before)
})

/** What the log has of a shard, as it is. */
const recordsOf = (file: string, shard: number): ReadonlyArray<unknown> => {
  const database = new DatabaseSync(file, { readOnly: true })
  const range = [recordKey(shard, 0), recordKey(shard + 1, 0)]
  const rows = database.prepare("SELECT id, crc, hex(bytes) FROM records WHERE id BETWEEN ? AND ?").all(...range)
  database.close()
  return rows
}

/** In the record, and in whatever repeats it (a checkpoint). */
const placesOf = (bytes: Buffer, what: string | Buffer): ReadonlyArray<number> => {
  const places: Array<number> = []
  for (let at = bytes.indexOf(what); at !== -1; at = bytes.indexOf(what, at + 1)) places.push(at)
  return places
}

it("a damaged record takes its shard out of service, is never shown or written over, and the others go on (†24)", async () => {
  await using folder = await Folder.make()
  const data = folder.in("data")
  const args = ["--shards", String(shards)]
  let server = await Server.start({ data, args })
  const url = () => server.url
  const [ana, ben] = ["ana", "ben"].map(
    (user) => new Device({ user, device: `${user}-1`, url, recorder: new Recorder() })
  )
  const create = (device: Device, channel: string) =>
    device.attempt({ op: "create", channel, cid: newClientId(), name: channel, members: [] })
  const send = (device: Device, channel: string) =>
    device.attempt({ op: "send", channel, cid: newClientId(), text: `the text of ${channel}` })
  // Each user's own shard has to stay whole, or he could see nothing at all.
  const users = new Set(["ana", "ben"].map((user) => shardOf(user, shards)))
  const free = Array.from({ length: 32 }, (_, index) => `group:c${index}`).filter(
    (channel) => !users.has(shardOf(channel, shards))
  )
  const broken = free[0]!
  const whole = free.find((channel) => shardOf(channel, shards) !== shardOf(broken, shards))!
  try {
    ana!.start()
    ben!.start()
    for (const [device, channel] of [
      [ana!, whole],
      [ben!, broken]
    ] as const) {
      expect(await create(device, channel)).toBe("done")
      expect(await send(device, channel)).toBe("done")
    }
    await server.kill()
    const file = join(data, "log.sqlite")
    // Everything from the write-ahead file into the main one.
    const database = new DatabaseSync(file)
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    const places = placesOf(readFileSync(file), `the text of ${broken}`)
    expect(places).not.toEqual([])
    for (const at of places) overwrite(file, at, 8)
    const before = recordsOf(file, shardOf(broken, shards))

    server = Server.launch({ data, args })
    expect(await server.whenReady("/livez")).toBe(true)
    expect(server.output).toMatch(new RegExp(`quarantined.*shard=${shardOf(broken, shards)}`))
    const page = await ana!.history(whole, {})
    expect(page).toMatchObject({ _tag: "Ok", ok: { events: [{ text: `the text of ${whole}` }] } })
    expect(await send(ana!, whole)).toBe("done")
    expect(await readOverHttp(server, "ben", broken)).toMatchObject({ error: { code: "unavailable", retryable: true } })
    await server.stop()
    expect(recordsOf(file, shardOf(broken, shards))).toEqual(before)
  } finally {
    await ana!.stop()
    await ben!.stop()
    await server.kill()
  }
})

const readOverHttp = async (server: Server, user: string, channel: string): Promise<unknown> => {
  const url = server.url ?? ""
  const authorization = `Bearer ${await developmentToken(url, user)}`
  const response = await fetch(`${url}/v1/channels/${channel}/messages`, { headers: { authorization } })
  return response.json()
}
