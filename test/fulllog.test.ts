/**
 * The store can't be written, so nothing of the log can be cut, and it grows to its soft bound: sends are refused as
 * `log_full`, retryable; what is there can be read, also by who comes anew; read marks move, for they are values and not
 * logged (†5). When the store can be written again the server goes on by itself, with nothing lost (WRITE-BEHIND-SAFE).
 */
import { setTimeout as delay } from "node:timers/promises"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { HeldStore } from "./harness/HeldStore.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"
import { newClientId } from "./wire/ClientIds.ts"
import type { Device } from "./wire/Device.ts"

/** Little more than eight shards need. */
const softBytes = 9 * 1_048_576
const waitMsMax = 30_000
/** One big message; enough of them fill the log in a moment. */
const text = "x".repeat(14_000)
const fillersMax = 2_000

const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = Date.now() + waitMsMax; !(await holds()); await delay(20)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${waitMsMax} ms`)
  }
}

const health = async (server: Server): Promise<unknown> => (await fetch(`${server.url}/readyz`)).json()

/** Sends big messages until the log is full. */
const fill = async (device: Device, channel: string, full: () => boolean): Promise<void> => {
  for (let sent = 0; sent < fillersMax && !full(); sent++) {
    await device.attempt({ op: "send", channel, cid: newClientId(), text })
  }
  if (!full()) throw new Error(`${fillersMax} messages of ${text.length} bytes did not fill the log`)
}

it(
  "at the log's soft bound sends are refused, reads and read marks go on, and it recovers without a restart",
  { timeout: 120_000 },
  async () => {
    await using folder = await Folder.make()
    const random = Random.fromEnvironment()
    const bounds = { PARLEY_LOG_SOFT_BYTES: String(softBytes), PARLEY_LOG_HARD_BYTES: String(2 * softBytes) }
    const server = await Server.start({ data: folder.in("data"), environment: bounds })
    const workload = new Workload({ random, url: () => server.url, mutationsMax: 6_000, pauseMs: 20 })
    const { facts } = workload.recorder
    const refused = () => facts.filter((fact) => fact._tag === "Refused" && fact.code === "log_full")
    try {
      await workload.prepare()
      workload.begin()
      expect(await workload.untilAcked(100, waitMsMax)).toBe(true)
      using held = await HeldStore.hold(folder.in("data/store.sqlite"))
      const [reader, other] = workload.devices as [Device, Device] // as: a workload has more than two
      await fill(reader, "group:red", () => refused().length > 0)
      const before = refused().length
      await until("refusals of everybody", () => refused().length >= before + 50)
      expect(refused().every((fact) => fact._tag === "Refused" && fact.retryable)).toBe(true)
      expect(await health(server)).toMatchObject({ ready: false, reasons: ["the log is full: sends are refused"] })

      for (const channel of workload.channels) expect(await reader.history(channel, {})).toMatchObject({ _tag: "Ok" })
      reader.drop()
      await until("the reader is away", () => !reader.ready)
      expect(await reader.whenReady()).toBe(true)
      const copy = () => other.channels.get("group:red")
      await reader.read("group:red")
      const { seq } = reader.channels.get("group:red")!.cursor
      expect(seq).toBeGreaterThan(0)
      await until("the user's other device hears of it", () => (copy()?.cursor.seq ?? 0) >= seq)

      held.release()
      if (!(await workload.untilAcked(100, waitMsMax))) throw new Error(`no acks with a store again:\n${server.output}`)
      await until("it is ready", async () => (await fetch(`${server.url}/readyz`)).status === 200)
      await workload.end(waitMsMax)
      expectSound(await verdict(workload, () => server, random, waitMsMax))
    } finally {
      await workload.stop()
      await server.kill()
    }
  }
)
