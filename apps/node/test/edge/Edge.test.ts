/** The edge end to end over a plain socket: hello, sync, sends and what comes live. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { clientId, EdgeHarness, type Frame, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

describe("the edge", () => {
  it("answers hello with who is there and what the limits are", async () => {
    const client = await harness.open()
    const answer = await client.request("hello", { token: await harness.token("ann"), device: "phone" })
    expect(answer["ok"]).toMatchObject({
      user: "ann",
      device: "phone",
      heartbeat_ms: 18_000,
      session: { generation: 1, seq: 0 }
    })
    expect(answer["ok"].limits.frame_bytes_max).toBe(65_536)
    expect(answer["ok"].expires_at).toBeGreaterThan(Date.now())
  })

  it("delivers a send to the others once and in order, and to its sender by the ack only", async () => {
    harness.owners.channel("team:order", ["ann", "bob"])
    const ann = await harness.join("ann")
    const bob = await harness.join("bob")
    for (let i = 0; i < 5; i++) {
      const ack = await ann.request("send", { channel: "team:order", cid: clientId(), text: `héllo ${i} 🙂` })
      expect(ack["ok"]).toMatchObject({ channel: "team:order", seq: i + 2, n: i + 1 })
    }
    await until(() => bob.events("team:order").length === 5)
    expect(bob.events("team:order")).toEqual([2, 3, 4, 5, 6])
    expect(bob.frames.find((f) => f["ev"] === "event")!["event"].text).toBe("héllo 0 🙂")
    await ann.request("ping")
    expect(ann.events("team:order")).toEqual([])
  })

  it("answers a sync for the other channels when one of them can't be answered, and says which", async () => {
    harness.owners.channel("team:well", ["una"])
    harness.owners.channel("team:ill", ["una"])
    const client = await harness.hello("una")
    const ill = { _tag: "Failed", channel: "team:ill", failure: { code: "unavailable" } } as const
    harness.owners.intercept = (request) => {
      if (request._tag !== "Sync") return undefined
      return {
        ok: request.items.map((item) => (item.channel === "team:ill" ? ill : harness.owners.sync("una", item, 10)))
      }
    }
    const ask = () => client.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
    const { channels, unavailable } = (await ask())["ok"]
    expect(channels.map((one: { head: { channel: string } }) => one.head.channel)).toEqual(["team:well"])
    expect(unavailable).toEqual(["team:ill"])
    harness.owners.intercept = () => undefined
    const well = (await ask())["ok"]
    expect(well.channels).toHaveLength(2)
    expect(well.unavailable).toBeUndefined()
  })

  it.each(["Attach", "Sync"] as const)(
    "answers a sync for the other channels when an owner does not answer its %s, and takes no late answer for news",
    async (asked) => {
      const [well, slow, user] = [`team:fast${asked}`, `team:slow${asked}`, `lil${asked}`]
      for (const channel of [well, slow]) harness.owners.channel(channel, [user])
      const client = await harness.hello(user)
      const sync = () => client.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
      const isSlow = (id: string) => harness.owners.calls.shardOf(id) === harness.owners.calls.shardOf(slow)
      harness.owners.holds = (request) =>
        (asked === "Sync" && request._tag === "Sync" && request.items.some(({ channel }) => channel === slow)) ||
        (asked === "Attach" && request._tag === "Attach" && request.topics.some(({ topic }) => topic === `c/${slow}`))
      expect(isSlow(well)).toBe(false)
      const { channels, unavailable } = (await sync())["ok"]
      expect(channels.map((one: { head: { channel: string } }) => one.head.channel)).toEqual([well])
      expect(unavailable).toEqual([slow])
      harness.owners.append(slow, "message", "dan", { text: "meanwhile", cid: clientId() })
      harness.owners.release()
      expect((await sync())["ok"].channels).toHaveLength(2)
      harness.owners.append(slow, "message", "dan", { text: "after", cid: clientId() })
      await until(() => client.events(slow).length === 1)
      expect(client.events(slow)).toEqual([3])
    }
  )

  it("answers a sync with what the device missed, and holds back what comes meanwhile (†8)", async () => {
    harness.owners.channel("team:sync", ["cat"])
    for (let i = 0; i < 3; i++) harness.owners.append("team:sync", "message", "dan", { text: `m${i}`, cid: clientId() })
    const client = await harness.hello("cat")
    harness.owners.intercept = (request) => {
      // Between attach and sync: it is both in the answer and on the link.
      if (request._tag === "Sync") {
        harness.owners.intercept = () => undefined
        harness.owners.append("team:sync", "message", "dan", { text: "meanwhile", cid: clientId() })
      }
      return undefined
    }
    const answer = await client.request("sync", { channels: [["team:sync", 1, 2]], session: { generation: 1, seq: 0 } })
    const [channel] = answer["ok"].channels
    expect([channel.from, channel.to]).toEqual([2, 5])
    expect(channel.events.map((event: { seq: number }) => event.seq)).toEqual([3, 4, 5])
    harness.owners.append("team:sync", "message", "dan", { text: "after", cid: clientId() })
    await until(() => client.events("team:sync").length > 0)
    expect(client.events("team:sync")).toEqual([6])
  })

  it("says which channels the device named and the user is in no longer", async () => {
    harness.owners.channel("team:left", ["eve"])
    harness.owners.remove("team:left", "eve")
    const client = await harness.hello("eve")
    const answer = await client.request("sync", {
      channels: [
        ["team:left", 1, 1],
        ["team:never", 1, 4]
      ],
      session: { generation: 1, seq: 0 }
    })
    expect(answer["ok"].lost).toEqual([
      { channel: "team:left", seq: 2 },
      { channel: "team:never", seq: 0 }
    ])
  })

  it("pages a sync by channel id, each channel once", async () => {
    const channels = Array.from({ length: 450 }, (_, i) => `team:p${String(i).padStart(3, "0")}`)
    for (const channel of channels) harness.owners.channel(channel, ["fay"])
    const client = await harness.hello("fay")
    const seen: Array<string> = []
    let page: string | undefined = undefined
    do {
      const from: object = page === undefined ? {} : { page }
      const answer: Frame = await client.request("sync", { channels: [], session: { generation: 1, seq: 0 }, ...from })
      seen.push(...answer["ok"].channels.map((c: { head: { channel: string } }) => c.head.channel))
      page = answer["ok"].more ?? undefined
    } while (page !== undefined)
    expect(seen).toEqual(channels)
  })

  it("†10 gives a device that is far behind the channels of its inbox first, newest first, then the others", async () => {
    const big = "x".repeat(16_000)
    const channels = Array.from({ length: 12 }, (_, i) => `team:far${String(i).padStart(2, "0")}`)
    for (const channel of channels) {
      harness.owners.channel(channel, ["gil"])
      for (let i = 0; i < 5; i++) harness.owners.append(channel, "message", "x", { text: big, cid: clientId() })
    }
    harness.owners.inboxes.set("gil", [
      { channel: "team:far09", place: 7 },
      { channel: "team:far04", place: 5 },
      { channel: "team:far11", place: 2 }
    ])
    const client = await harness.hello("gil")
    const seen: Array<string> = []
    const held = channels.map((channel) => [channel, 1, 1])
    let page: string | undefined = undefined
    let pages = 0
    do {
      const from: object = page === undefined ? {} : { page }
      const answer: Frame = await client.request("sync", {
        channels: held,
        session: { generation: 1, seq: 0 },
        ...from
      })
      seen.push(...answer["ok"].channels.map((c: { head: { channel: string } }) => c.head.channel))
      page = answer["ok"].more ?? undefined
      // What comes into the inbox meanwhile is not left out.
      if (++pages === 1) {
        harness.owners.inboxes.set("gil", [
          { channel: "team:far10", place: 8 },
          { channel: "team:far04", place: 5 },
          { channel: "team:far11", place: 2 }
        ])
      }
    } while (page !== undefined)
    expect(pages).toBeGreaterThan(2)
    const first = ["team:far09", "team:far04", "team:far11"]
    expect(seen.slice(0, 3)).toEqual(first)
    expect([...new Set(seen)].toSorted()).toEqual(channels)
    // The others by id; the one that was taken out of the inbox may come again.
    expect(seen.slice(3).filter((channel) => channel !== "team:far09")).toEqual(
      channels.filter((channel) => !first.includes(channel))
    )
    // Live again from here on, in every one of them.
    harness.owners.append("team:far00", "message", "x", { text: "live", cid: clientId() })
    await until(() => client.events("team:far00").length > 0)
  })

  it("brings a channel to a user's open connections when he is added", async () => {
    harness.owners.channel("team:new", ["gus"])
    harness.owners.append("team:new", "message", "gus", { text: "secret", cid: clientId() })
    const hal = await harness.join("hal")
    harness.owners.add("team:new", "hal")
    const push = await hal.pushed((frame) => frame["ev"] === "channel")
    expect(push["sync"].head).toMatchObject({ channel: "team:new", seq: 3 })
    harness.owners.append("team:new", "message", "gus", { text: "welcome", cid: clientId() })
    await until(() => hal.events("team:new").length > 0)
    expect(hal.events("team:new")).toEqual([4])
  })

  it("shows a removed user his removal and nothing after it (REVOKED-IS-OUT)", async () => {
    harness.owners.channel("team:out", ["ida", "jon"])
    const ida = await harness.join("ida")
    const jon = await harness.join("jon")
    harness.owners.remove("team:out", "ida")
    harness.owners.append("team:out", "message", "jon", { text: "gone?", cid: clientId() })
    await until(() => jon.events("team:out").length === 2)
    await ida.request("ping")
    expect(ida.events("team:out")).toEqual([2])
  })

  it("repairs a lost link message by its number, and a lost last one by the heartbeat (†9)", async () => {
    harness.owners.channel("team:lossy", ["kim"])
    const kim = await harness.join("kim")
    let lost = 0
    harness.owners.lose = (message) => message.items.length > 0 && lost++ === 0
    harness.owners.append("team:lossy", "message", "x", { text: "1", cid: clientId() })
    await until(() => lost === 1)
    harness.owners.append("team:lossy", "message", "x", { text: "2", cid: clientId() })
    await until(() => kim.events("team:lossy").length === 2)
    lost = 0
    harness.owners.append("team:lossy", "message", "x", { text: "3", cid: clientId() })
    await until(() => lost === 1)
    harness.owners.heartbeat()
    await until(() => kim.events("team:lossy").length === 3)
    expect(kim.events("team:lossy")).toEqual([2, 3, 4])
    harness.owners.lose = () => false
  })
})
