/**
 * One user on several devices, over plain sockets to a real server process: what is read, marked, revoked, resumed and
 * shown of presence reaches every device, in the time that is promised; and a server that leaves tells all of them.
 */
import { createHash } from "node:crypto"
import { closeTable } from "@parley/protocol/CloseCode"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { RawClient, type RawFrame, until } from "./wire/RawClient.ts"

const badgeMsMax = 1_000
/** From a user's last connection to his being offline, and the tests' share. */
const offlineMsMin = 29_000
const offlineMsMax = 45_000

let folder: Folder
let server: Server
const url = () => server.url ?? "http://gone"
beforeEach(async () => {
  folder = await Folder.make()
  server = await Server.start({ data: folder.in("data"), environment })
})
afterEach(async () => {
  await server.kill()
  await folder[Symbol.asyncDispose]()
})

const apiKey = "a key of a login service"
const environment = {
  PARLEY_API_KEY_HASHES: createHash("sha256").update(apiKey).digest("hex"),
  PARLEY_DRAIN_WINDOW_MS: "2000",
  PARLEY_DRAIN_DEADLINE_MS: "5000"
}

const join = async (user: string, device: string): Promise<RawClient> =>
  (await RawClient.open(url())).join(await developmentToken(url(), user), device)
const send = (client: RawClient, channel: string, text = "hi"): Promise<RawFrame> =>
  client.ok("send", { channel, cid: newClientId(), text })

/** Creates a channel, and waits until all of these are shown it. */
const channelOf = async (
  channel: string,
  owner: RawClient,
  members: ReadonlyArray<string>,
  shown: ReadonlyArray<RawClient>
) => {
  await owner.ok("create", { channel, cid: newClientId(), name: "", members })
  const isIt = (frame: RawFrame) => frame["ev"] === "channel" && frame["sync"].head.channel === channel
  for (const client of [owner, ...shown]) await client.pushed(channel, isIt)
}

describe("reading", () => {
  it("on one device clears the badge on the others within a second, and mark unread sets it on all of them", async () => {
    const ana = await join("ana", "d")
    const devices = [await join("ben", "phone"), await join("ben", "laptop"), await join("ben", "tablet")] as const
    const [phone, ...others] = devices
    const channel = "group:badge"
    await channelOf(channel, ana, ["ben"], devices)
    for (let round = 0; round < 10; round++) {
      const { seq } = await send(ana, channel, `message ${round}`)
      const isIt = (frame: RawFrame) => frame["ev"] === "event" && frame["to"] === seq
      for (const device of devices) await device.pushed("the message", isIt)
      const readAt = Date.now()
      expect(await phone.ok("read", { channel, seq })).toMatchObject({ cursor: { seq }, unread: 0, head: seq })
      for (const other of others) {
        const isRead = (frame: RawFrame) => frame["ev"] === "cursor" && frame["cursor"].seq === seq
        expect(await other.pushed("the badge", isRead)).toMatchObject({ channel, unread: 0, mentions: 0, head: seq })
      }
      expect(Date.now() - readAt).toBeLessThan(badgeMsMax)
    }
    const markedAt = Date.now()
    const marked = await phone.ok("mark_unread", { channel, cid: newClientId(), seq: 4 })
    expect(marked).toMatchObject({ unread: 7, head: 11, cursor: { generation: marked["user_seq"], seq: 4 } })
    const isMarked = (frame: RawFrame) => frame["ev"] === "cursor" && frame["cursor"].generation === marked["user_seq"]
    for (const other of others) expect(await other.pushed("the mark", isMarked)).toMatchObject({ unread: 7, head: 11 })
    expect(Date.now() - markedAt).toBeLessThan(badgeMsMax)
    // A device that was away all the time, and one that comes back, have the same.
    for (const device of ["watch", "laptop"]) {
      const client = await RawClient.open(url())
      await client.ok("hello", { token: await developmentToken(url(), "ben"), device })
      const { channels } = await client.ok("sync", { channels: [], session: { generation: 0, seq: 0 } })
      expect(channels[0].head).toMatchObject({ unread: 7, cursor: { generation: marked["user_seq"], seq: 4 } })
    }
  })
})

describe("resuming", () => {
  it("works any number of times, also on sockets that received nothing, and leaves nothing out", async () => {
    const ana = await join("ana", "d")
    const bea = await join("bea", "d")
    const channel = "group:resume"
    await channelOf(channel, ana, ["bea"], [bea])
    bea.socket.terminate()
    const token = await developmentToken(url(), "bea")
    let held = 1
    const seen: Array<number> = []
    for (let round = 0; round < 40; round++) {
      const { seq } = await send(ana, channel)
      const client = await RawClient.open(url())
      // Cut at every stage: before hello, after it, with a sync on its way, and after that.
      if (round % 4 > 0) await client.ok("hello", { token, device: "d" })
      if (round % 4 === 2) client.post("sync", { channels: [[channel, 1, held]], session: { generation: 1, seq: 0 } })
      if (round % 4 === 3) {
        for (let again = 0; again < 2; again++) {
          const { channels } = await client.ok("sync", {
            channels: [[channel, 1, held]],
            session: { generation: 1, seq: 0 }
          })
          const { events, from, reload, to } = channels[0]
          expect([reload, from, to]).toEqual([false, held, seq])
          if (again === 1) seen.push(...events.map((event: { seq: number }) => event.seq))
        }
        held = seq
      }
      client.socket.terminate()
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i + 2))
  })
})

describe("a revocation", () => {
  it("reaches every live socket of the user and no other, and outlasts kill -9", async () => {
    const revoke = async (authorization: string, before: number): Promise<number> => {
      const response = await fetch(`${url()}/v1/users/rex/revoke`, {
        method: "POST",
        headers: { authorization: `Bearer ${authorization}`, "content-type": "application/json" },
        body: JSON.stringify({ cid: newClientId(), before })
      })
      return response.status
    }
    const token = await developmentToken(url(), "rex")
    const hello = async (token: string): Promise<RawClient> => {
      const client = await RawClient.open(url())
      client.post("hello", { token, device: "a" })
      await until("an answer or a close", () => client.frames.length > 0 || client.closed !== undefined)
      return client
    }
    const devices = [await join("rex", "a"), await join("rex", "b"), await hello(token)]
    const other = await join("sue", "d")
    expect(await revoke(await developmentToken(url(), "sue"), 1)).toBe(403)
    for (const device of devices) expect((await device.request("ping"))["ok"]).toBeDefined()
    // Above the times of all tokens by now, however long it took until here.
    const before = Math.floor(Date.now() / 1_000) + 1
    expect(await revoke(apiKey, before)).toBe(200)
    for (const device of devices) expect((await device.whenClosed()).code).toBe(closeTable.revoked.code)
    expect((await other.request("ping"))["ok"]).toBeDefined()
    expect((await (await hello(token)).whenClosed()).code).toBe(closeTable.revoked.code)
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`${url()}/v1/users/rex`, { headers })).status).toBe(401)
    await server.kill()
    server = await Server.start({ data: folder.in("data"), environment })
    expect((await (await hello(token)).whenClosed()).code).toBe(closeTable.revoked.code)
    await until("a second in which tokens are good again", () => Date.now() / 1_000 >= before)
    const again = await hello(await developmentToken(url(), "rex"))
    expect(again.frames[0]?.["ok"].user).toBe("rex")
  })
})

describe("presence", () => {
  it(
    "hides a short drop, merges devices, and says offline with the last seen time once the grace period is over",
    { timeout: 90_000 },
    async () => {
      const watcher = await join("watcher", "d")
      const users = ["leaver", "dropper", "marker"]
      const told = (user: string): ReadonlyArray<RawFrame> =>
        watcher.frames
          .flatMap((frame) => (frame["ev"] === "presence" ? frame["users"] : (frame["ok"]?.users ?? [])))
          .filter((one) => one.user === user)
      const shows = async (user: string, state: string, ms?: number): Promise<void> =>
        until(`${user} ${state}`, () => told(user).at(-1)?.["state"] === state, ms)
      await watcher.ok("presence_watch", { users })
      const leaver = await join("leaver", "d")
      const phone = await join("dropper", "phone")
      let laptop = await join("dropper", "laptop")
      await shows("leaver", "online")
      await shows("dropper", "online")
      leaver.socket.close()
      await leaver.whenClosed()
      const leftAt = Date.now()
      // The phone looks away: the laptop counts, until it does too.
      await phone.ok("presence_set", { state: "away" })
      await laptop.ok("background")
      await shows("dropper", "away")
      await laptop.ok("foreground")
      await shows("dropper", "online")
      // Both go, and one comes back: what is told next is that it looks away, and nothing in between.
      const before = told("dropper").length
      phone.socket.terminate()
      laptop.socket.terminate()
      // Somebody who came after they went is shown: their going was reported by then.
      await join("marker", "d")
      await shows("marker", "online")
      laptop = await join("dropper", "laptop")
      await laptop.ok("presence_set", { state: "away" })
      await shows("dropper", "away")
      expect(
        told("dropper")
          .slice(before)
          .map((one) => one["state"])
      ).not.toContain("offline")
      await shows("leaver", "offline", offlineMsMax)
      expect(Date.now() - leftAt).toBeGreaterThan(offlineMsMin)
      const { last_seen: lastSeen } = told("leaver").at(-1) ?? {}
      expect(Math.abs(lastSeen - leftAt)).toBeLessThan(5_000)
      expect(told("leaver").filter((one) => one["state"] === "offline")).toHaveLength(1)
      expect(told("dropper").map((one) => one["state"])).not.toContain("offline")
    }
  )
})

describe("a server that leaves", () => {
  it("tells each client a moment of its own, serves until then, closes with the wait, and ends with 0", async () => {
    const ana = await join("ana", "d")
    const channel = "group:leaving"
    await channelOf(channel, ana, [], [])
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => join(`user${i}`, "d")))
    const stopped = server.stop()
    const isDrain = (frame: RawFrame) => frame["ev"] === "drain"
    const moments = await Promise.all(
      clients.map(async (client) => (await client.pushed("drain", isDrain))["after_ms"])
    )
    // Until its moment a client is served.
    const { seq } = await send(ana, channel, "still here")
    expect(new Set(moments).size).toBe(clients.length)
    expect([Math.min(...moments) < 500, Math.max(...moments) > 1_500, Math.max(...moments) <= 2_000]).toEqual([
      true,
      true,
      true
    ])
    const late = await RawClient.open(url())
    expect(late.closed !== undefined || late.refusedWith === 503).toBe(true)
    for (const client of [ana, ...clients]) {
      const { code, reason } = await client.whenClosed()
      expect(code).toBe(closeTable.draining.code)
      expect(reason).toMatch(/^\d+$/)
    }
    expect(await stopped).toMatchObject({ code: 0, inTime: true })
    server = await Server.start({ data: folder.in("data"), environment })
    const { events } = await (await join("ana", "d")).ok("history", { channel })
    expect(events).toMatchObject([{ seq, text: "still here" }])
  })
})
