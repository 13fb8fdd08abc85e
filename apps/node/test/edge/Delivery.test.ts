/** Who gets what: watchers of large channels, devices of one user, holes that only heads show, owners that move. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { linkRingMax } from "@parley/actors/fanout/OwnerLink"
import type { LinkMessage } from "@parley/actors/owner/OwnerProtocol"
import { closeTable } from "@parley/protocol/CloseCode"
import { clientId, EdgeHarness, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

const say = (channel: string, text = "m") => harness.owners.append(channel, "message", "x", { text, cid: clientId() })

describe("delivery", () => {
  it("takes frames that a client sent on before its hello was answered", async () => {
    const client = await harness.open()
    client.post("hello", { token: await harness.token("early"), device: "d" })
    const sync = client.post("sync", { channels: [], session: { generation: 0, seq: 0 } })
    expect((await client.answer(sync))["ok"].more).toBeNull()
  })

  it("gives events of a read fan-out channel to those that watch it, and removals to all", async () => {
    const channel = harness.owners.channel("team:big", ["ann", "bob"])
    channel.readFanout = true
    const ann = await harness.join("ann")
    const bob = await harness.join("bob")
    expect((await ann.request("watch", { channel: "team:big" }))["ok"].head.seq).toBe(1)
    say("team:big")
    harness.owners.remove("team:big", "bob")
    await until(() => ann.events("team:big").length === 2 && bob.events("team:big").length === 1)
    expect(bob.events("team:big")).toEqual([3])
    await ann.request("unwatch", { channel: "team:big" })
    say("team:big")
    await ann.request("ping")
    expect(ann.events("team:big")).toEqual([2, 3])
  })

  it("fills a hole from before a switch to read fan-out for all whom it concerned, watching or not (†9)", async () => {
    const channel = harness.owners.channel("team:grown", ["ann", "bob"])
    const bob = await harness.join("bob")
    harness.owners.lose = (message) => message.items.length > 0
    for (let i = 0; i < linkRingMax + 5; i++) {
      say("team:grown")
      harness.owners.links.flush()
    }
    channel.readFanout = true
    const switched = harness.owners.append("team:grown", "fanout", "x", { fanout: "read" })
    say("team:grown", "for those who watch")
    harness.owners.links.flush()
    harness.owners.lose = () => false
    await until(() => {
      harness.owners.heartbeat()
      return bob.events("team:grown").includes(switched)
    })
    expect(bob.events("team:grown")).toEqual(Array.from({ length: switched - 1 }, (_, i) => i + 2))
  }, 20_000)

  it("shows reading on the user's other devices, not on the one that read", async () => {
    harness.owners.channel("team:read", ["cat"])
    say("team:read")
    const phone = await harness.join("cat", "phone")
    const laptop = await harness.join("cat", "laptop")
    const answer = await phone.request("read", { channel: "team:read", seq: 2 })
    expect(answer["ok"]).toEqual({ cursor: { generation: 0, seq: 2 }, unread: 0, mentions: 0, head: 2 })
    await laptop.pushed((frame) => frame["ev"] === "cursor" && frame["channel"] === "team:read")
    expect(phone.frames.some((frame) => frame["ev"] === "cursor")).toBe(false)
  })

  it("counts again when the cursor was further already", async () => {
    harness.owners.channel("team:further", ["dan"])
    for (let i = 0; i < 3; i++) say("team:further")
    const dan = await harness.join("dan")
    await dan.request("read", { channel: "team:further", seq: 4 })
    const late = await dan.request("read", { channel: "team:further", seq: 2 })
    expect(late["ok"]).toMatchObject({ cursor: { generation: 0, seq: 4 }, unread: 0 })
    const back = await dan.request("mark_unread", { channel: "team:further", seq: 2, cid: clientId() })
    expect(back["ok"]).toMatchObject({ cursor: { generation: 1, seq: 2 }, unread: 2, user_seq: 1 })
  })

  it("answers a repeated mark unread with the counts of where the cursor is by now", async () => {
    harness.owners.channel("team:back", ["dan"])
    for (let i = 0; i < 3; i++) say("team:back")
    const dan = await harness.join("dan")
    harness.owners.intercept = (request) =>
      request._tag === "MarkUnread" ? { ok: { cursor: { generation: 1, seq: 3 }, userSeq: 1 } } : undefined
    const back = await dan.request("mark_unread", { channel: "team:back", seq: 1, cid: clientId() })
    harness.owners.intercept = () => undefined
    expect(back["ok"]).toEqual({ cursor: { generation: 1, seq: 3 }, unread: 1, mentions: 0, head: 4, user_seq: 1 })
  })

  it("moves the cursor to what a send says its device has seen, not to the send (†13)", async () => {
    harness.owners.channel("team:seen", ["eve"])
    say("team:seen")
    const eve = await harness.join("eve")
    await eve.request("send", { channel: "team:seen", cid: clientId(), text: "quick", seen: 1 })
    await until(() => harness.owners.session("eve").cursors.get("team:seen")?.seq === 1)
    // Told by a push on this connection too: there is no answer that would say it.
    await eve.pushed((frame) => frame["ev"] === "cursor" && frame["channel"] === "team:seen")
    const moves = () =>
      harness.owners.requests.filter((r) => r._tag === "MoveCursor" && r.channel === "team:seen").length
    await eve.request("send", { channel: "team:seen", cid: clientId(), text: "again", seen: 1 })
    await eve.request("read", { channel: "team:seen", seq: 2 })
    expect(moves()).toBe(2)
  })

  it("answers both tries of one client id with one seq (EXACTLY-ONCE-EFFECT)", async () => {
    harness.owners.channel("team:twice", ["fay"])
    const fay = await harness.join("fay")
    const frame = { channel: "team:twice", cid: clientId(), text: "once" }
    const [first, second] = [await fay.request("send", frame), await fay.request("send", frame)]
    expect(second["ok"]).toEqual(first["ok"])
  })

  it("repairs from the tail what the owner's ring no longer has, members' view and order kept (†9)", async () => {
    harness.owners.channel("team:ring", ["gus"])
    const gus = await harness.join("gus")
    harness.owners.lose = (message) => message.items.length > 0
    const lost = linkRingMax + 5
    for (let i = 0; i < lost; i++) {
      say("team:ring", "lost")
      harness.owners.links.flush()
    }
    harness.owners.lose = () => false
    await until(() => {
      harness.owners.heartbeat()
      return gus.events("team:ring").length >= lost
    })
    say("team:ring", "after")
    await until(() => gus.events("team:ring").at(-1) === lost + 2)
    expect(gus.events("team:ring")).toEqual(Array.from({ length: lost + 1 }, (_, i) => i + 2))
  }, 20_000)

  it("repairs what was sent while the shard moved and the new owner had lost the interest (†9)", async () => {
    harness.owners.channel("team:moved", ["hal"])
    const hal = await harness.join("hal")
    harness.owners.move()
    say("team:moved", "nobody hears this")
    // No heartbeat has told of it.
    harness.owners.announce()
    await until(() => hal.events("team:moved").length === 1)
    say("team:moved", "and this is live")
    await until(() => hal.events("team:moved").length === 2)
    expect(hal.events("team:moved")).toEqual([2, 3])
  })

  it("delivers what a late link brings while it asks for the rest, and asks again where that is too much (†9)", async () => {
    const { owners } = harness
    owners.channel("team:late", ["ivy"])
    const ivy = await harness.join("ivy")
    const onWay: Array<LinkMessage> = []
    owners.lose = (message) => onWay.push(message) > 0
    const arrive = (count: number) => {
      for (const message of onWay.splice(0, count)) owners.subscribers.get(message.edge)?.(message)
    }
    const asked = () => owners.requests.filter((r) => r._tag === "Sync" && r.items[0]?.channel === "team:late").length
    // As where the edge is further behind than a sync goes.
    const sync = '{"head":{"seq":9,"generation":1,"fanout":"write"},"from":9,"to":9,"events":[],"reload":true}'
    owners.intercept = (request) =>
      request._tag === "Sync" && request.items[0]?.channel === "team:late"
        ? { ok: [{ _tag: "Sync", channel: "team:late", head: 9, sync }] }
        : undefined
    owners.holds = (request) => request._tag === "Sync"
    const before = asked()
    for (let seq = 2; seq <= 8; seq++) {
      say("team:late", "of the old owner")
      owners.links.flush()
    }
    owners.move()
    say("team:late", "of the new one")
    owners.announce()
    await until(() => asked() > before)
    expect(ivy.events("team:late")).toEqual([])
    arrive(4)
    await until(() => ivy.events("team:late").length === 4)
    owners.intercept = () => undefined
    owners.release()
    arrive(3)
    owners.lose = () => false
    await until(() => ivy.events("team:late").length === 8)
    expect(asked()).toBe(before + 2)
    expect(ivy.events("team:late")).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
    expect(ivy.closed).toBeUndefined()
  })

  it("shows a user added meanwhile nothing from before he was a member, also by a repair (†15)", async () => {
    harness.owners.channel("team:private", ["ida"])
    const ida = await harness.join("ida")
    const jon = await harness.join("jon")
    harness.owners.lose = (message) => message.items.some((item) => item._tag === "Event")
    say("team:private", "secret 2")
    say("team:private", "secret 3")
    harness.owners.links.flush()
    harness.owners.add("team:private", "jon")
    await jon.pushed((frame) => frame["ev"] === "channel")
    harness.owners.lose = () => false
    say("team:private", "for both")
    await until(() => ida.events("team:private").length === 4 && jon.events("team:private").includes(5))
    expect(ida.events("team:private")).toEqual([2, 3, 4, 5])
    expect(jon.events("team:private")).toEqual([5])
    expect(JSON.stringify(jon.frames)).not.toContain("secret")
  })

  it("closes with lost_place what can't be repaired, so that the client resumes by its own sync (NO-GAP-SYNC)", async () => {
    harness.owners.channel("team:gone", ["kim"])
    const kim = await harness.join("kim")
    const topic = harness.edge.runtime.topics.channel("team:gone")
    harness.owners.intercept = (request) =>
      request._tag === "Sync" && request.items[0]?.channel === "team:gone"
        ? {
            ok: [
              {
                _tag: "Sync",
                channel: "team:gone",
                head: 9,
                sync: '{"head":{"seq":9,"generation":2,"fanout":"write"},"from":9,"to":9,"events":[],"reload":true}'
              }
            ]
          }
        : undefined
    harness.edge.runtime.topics.take({ _tag: "Covered", topic: topic.name, from: 5, to: 6 })
    expect((await kim.whenClosed()).code).toBe(closeTable.lost_place.code)
    harness.owners.intercept = () => undefined
    expect([topic.sequence.generation, topic.sequence.delivered]).toEqual([2, 9])
  })

  it("gives typing to the others only, and to nobody in the background", async () => {
    harness.owners.channel("team:typing", ["lea", "max", "ned"])
    const [lea, max, ned] = [await harness.join("lea"), await harness.join("max"), await harness.join("ned")]
    await ned.request("background")
    const frame = '{"ev":"typing","channel":"team:typing","user":"lea","on":true,"ttl_ms":6000}'
    harness.owners.publish({ _tag: "Ephemeral", topic: "c/team:typing", frame, exceptUser: "lea", exceptConnection: 0 })
    await max.pushed((push) => push["ev"] === "typing")
    for (const client of [lea, ned]) {
      await client.request("ping")
      expect(client.frames.some((push) => push["ev"] === "typing")).toBe(false)
    }
  })

  it("gives each connection the presence of those it watches, and every version of the shard", async () => {
    const [ann, bob] = [await harness.join("ann"), await harness.join("bob")]
    await ann.request("presence_watch", { users: ["zoe"] })
    const { shardOf } = harness.owners.calls
    const peer = Array.from({ length: 99 }, (_, i) => `p${i}`).find((user) => shardOf(user) === shardOf("zoe"))!
    await bob.request("presence_watch", { users: [peer] })
    const shard = shardOf("zoe")
    const users = [{ user: "zoe", state: "online", last_seen: null } as const]
    for (const edge of harness.owners.subscribers.keys()) {
      harness.owners.links.push(edge, { _tag: "Presence", topic: `p/${shard}`, shard, epoch: 1, n: 1, users })
    }
    expect((await ann.pushed((push) => push["ev"] === "presence"))["users"]).toEqual(users)
    expect(await bob.pushed((push) => push["ev"] === "presence")).toMatchObject({ n: 1, users: [] })
  })

  it("pings who is silent, and closes who does not answer (a dead peer)", async () => {
    const quick = await EdgeHarness.start({ idleTimeoutMs: 4_000 })
    const alive = await quick.hello("ann", "alive")
    const dead = await quick.hello("ann", "dead")
    let pings = 0
    alive.socket.on("ping", () => pings++)
    dead.socket.pause()
    await until(() => quick.edge.connections.closedBy.get("idle") !== undefined)
    expect(pings).toBeGreaterThan(0)
    expect((await alive.request("ping"))["ok"]).toBeDefined()
    await quick.stop()
  }, 10_000)
})
