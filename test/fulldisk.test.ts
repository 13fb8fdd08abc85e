/**
 * The disk is full, to the last byte: sends are refused as `log_full`, retryable; what is there can be read; and when
 * there is room again the server goes on by itself, with nothing lost.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { SmallDisk } from "./harness/SmallDisk.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

/** More than the log holds back for itself, and some history. */
const diskBytes = 64 * 1_048_576
const waitMsMax = 15_000

/** Writes until nothing fits any more, also in the gaps that closing leaves. */
const fill = (file: string): void => {
  const descriptor = openSync(file, "a")
  try {
    for (let bytes = 1_048_576; bytes >= 1;) {
      try {
        writeSync(descriptor, Buffer.alloc(bytes, 1))
      } catch {
        bytes = Math.floor(bytes / 2)
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (const end = Date.now() + waitMsMax; !holds(); await delay(20)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${waitMsMax} ms`)
  }
}

it(
  "on a full disk sends are refused and reads go on; with room again it goes on without a restart",
  { timeout: 120_000 },
  async (ctx) => {
    await using folder = await Folder.make()
    using disk = SmallDisk.mount(folder.in("disk"), diskBytes)
    if (disk.why !== undefined) return ctx.skip(disk.why)
    const random = Random.fromEnvironment()
    const server = await Server.start({ data: disk.in("data") })
    const workload = new Workload({ random, url: () => server.url, mutationsMax: 4_000, pauseMs: 20 })
    const { facts } = workload.recorder
    const refusals = () => facts.filter((fact) => fact._tag === "Refused" && fact.code === "log_full").length
    // What is sent again after its ack is answered on a full disk as well: nothing is written for it.
    const written = () =>
      new Set(facts.map((fact) => (fact._tag === "Acked" ? `${fact.channel} ${fact.seq}` : ""))).size
    try {
      await workload.prepare()
      workload.begin()
      expect(await workload.untilAcked(100, waitMsMax)).toBe(true)
      const ballast = disk.in("ballast")
      // What the log gives up to be able to go on is taken as well.
      const filling = setInterval(() => fill(ballast), 50)
      try {
        await until("a refusal", () => refusals() >= 50)
        const [before, refused] = [written(), refusals()]
        await until("more refusals", () => refusals() >= refused + 50)
        expect(written()).toBe(before)
        const reader = workload.devices[0]!
        for (const channel of workload.channels) expect(await reader.history(channel, {})).toMatchObject({ _tag: "Ok" })
        reader.drop()
        await delay(50)
        expect(await reader.whenReady()).toBe(true)
      } finally {
        clearInterval(filling)
      }
      rmSync(ballast)
      if (!(await workload.untilAcked(50, waitMsMax))) throw new Error(`no acks with room again:\n${server.output}`)
      await workload.end(waitMsMax)
      expectSound(await verdict(workload, () => server, random, waitMsMax))
      expect(
        facts
          .filter((fact) => fact._tag === "Refused" && fact.code === "log_full")
          .every((fact) => fact._tag === "Refused" && fact.retryable)
      ).toBe(true)
    } finally {
      await workload.stop()
      await server.kill()
    }
  }
)
