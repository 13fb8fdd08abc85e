import { describe, expect, it } from "vitest"
import { Limits } from "@parley/protocol/Limits"
import type { ChannelView } from "../src/ChannelView.ts"
import { World } from "./World.ts"

const group = "group:a"

const texts = (view: ChannelView) => view.snapshot().messages.map(({ text }) => text)
const ops = (world: World, op: string) => world.server.received.filter((frame) => frame.op === op)

const worldOf = (members: ReadonlyArray<string> = ["ana", "ben"]) => {
  const world = new World()
  return { world, channel: world.server.make(group, members) }
}

const older = async (world: World, view: ChannelView): Promise<boolean> => {
  const loaded = view.loadOlder()
  await world.time.pass(100)
  return loaded
}

describe("ChatClient", () => {
  it("connects, lists the channels, and shows what is said from then on", async () => {
    const { channel, world } = worldOf()
    world.server.say(channel, "ben", "before")
    const client = await world.online(world.client())
    expect(client.channels.snapshot()).toMatchObject({ unread: 1, channels: [{ channel: group, unread: 1 }] })
    const view = client.channel(group)
    world.server.say(channel, "ben", "after")
    await world.time.until("the message", () => texts(view).includes("after"))
    expect(view.snapshot()).toMatchObject({ unread: 2, position: 3 })
    expect(await older(world, view)).toBe(false)
    expect(texts(view)).toEqual(["before", "after"])
    expect(view.snapshot().more).toBe(false)
  })

  it("gives the same snapshot until something changes, and tells observers once for many changes", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    let told = 0
    view.subscribe(() => told++)
    const list = client.channels.snapshot()
    expect(view.snapshot()).toBe(view.snapshot())
    for (let at = 0; at < 30; at++) world.server.say(channel, "ben", `x${at}`)
    world.socket.cut()
    await world.time.until("resumed", () => view.snapshot().position === 31)
    // 30 events in pages of four.
    expect(told).toBeLessThan(20)
    expect(client.channels.snapshot()).not.toBe(list)
  })

  it("names in a sync what it holds, of the session too", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    for (let at = 0; at < 3; at++) world.server.say(channel, "ben", "hi @ana", ["ana"])
    await world.time.until("here", () => client.channel(group).snapshot().position === 4)
    world.socket.cut()
    await world.time.until("resumed", () => ops(world, "sync").length === 2)
    expect(ops(world, "sync")[1]).toMatchObject({ channels: [[group, 1, 4]], session: { generation: 1, seq: 4 } })
  })

  it("NO-GAP-SYNC: repairs a lost event by one sync, after waiting for it a little", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.faults.copies = (push) => (push.ev === "event" && push.event.seq === 2 ? 0 : 1)
    for (const text of ["lost", "second", "third"]) world.server.say(channel, "ben", text)
    await world.time.pass(500)
    expect(texts(view)).toEqual([])
    await world.time.until("repaired", () => texts(view).length === 3)
    expect(texts(view)).toEqual(["lost", "second", "third"])
    expect(ops(world, "sync").length).toBe(2)
  })

  it("NO-GAP-SYNC: a lost last event shows by the head that the server names", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    world.server.faults.copies = (push) => (push.ev === "event" ? 0 : 1)
    world.server.say(channel, "ben", "the last one")
    await world.time.pass(20_000)
    expect(texts(client.channel(group))).toEqual([])
    world.server.heartbeatHeads()
    await world.time.until("repaired", () => texts(client.channel(group)).length === 1)
  })

  it("does not sync at full speed when a sync does not help", async () => {
    const { channel, world } = worldOf()
    await world.online(world.client())
    for (const connection of world.server.connections) {
      connection.push({ ev: "covered", channel: group, from: 1_000, to: 1_000 })
    }
    world.server.say(channel, "ben", "x")
    await world.time.pass(120_000)
    expect(ops(world, "sync").length).toBeLessThan(12)
  })

  it("drops what it holds when it is told to reload, and fetches history on demand", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.say(channel, "ben", "held")
    await world.time.until("held", () => texts(view).length === 1)
    world.down = true
    world.socket.cut()
    for (let at = 0; at < 60; at++) world.server.say(channel, "ben", `while away ${at}`)
    world.down = false
    await world.time.until("resumed", () => view.snapshot().position === 62)
    expect(view.snapshot()).toMatchObject({ messages: [], more: true, unread: 61, last: { text: "while away 59" } })
    while (await older(world, view));
    expect(texts(view).length).toBe(61)
  })

  it("REVOKED-IS-OUT: a removed member's view is empty, and nothing later gets into it", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.say(channel, "ben", "before")
    await world.time.until("shown", () => texts(view).length === 1)
    world.server.remove(channel, "ana", "ben")
    const event = world.server.say(channel, "ben", "secret")
    // A server that is late in taking him off.
    for (const connection of world.server.connections)
      connection.push({ ev: "event", channel: group, from: event.seq - 1, to: event.seq, event })
    await world.time.pass(10_000)
    expect(view.snapshot()).toMatchObject({ status: "left", messages: [] })
    expect(client.channels.snapshot().channels).toEqual([])
    expect(await older(world, view)).toBe(false)
    world.server.add(channel, "ana", "ben")
    await world.time.until("back", () => view.snapshot().status === "member")
    while (await older(world, view));
    expect(texts(view)).toEqual([])
  })

  it("learns of a removal that happened while it was away", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    world.down = true
    world.socket.cut()
    world.server.remove(channel, "ana", "ben")
    world.down = false
    await world.time.until("known", () => client.channel(group).snapshot().status === "left")
  })

  it("stays in a channel that it was added to again while a sync was on its way that says it is lost", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    world.down = true
    world.socket.cut()
    world.server.remove(channel, "ana", "ben")
    world.down = false
    // The push goes out before the answer, which was made before it.
    world.server.faults.instead = (op) => {
      if (op === "sync" && !channel.members.has("ana")) world.server.add(channel, "ana", "ben")
      return undefined
    }
    await world.time.until("synced", () => ops(world, "sync").length === 2)
    await world.time.pass(1_000)
    world.server.say(channel, "ben", "welcome back")
    await world.time.pass(1_000)
    expect(client.channel(group).snapshot()).toMatchObject({ status: "member", position: 4 })
    expect(texts(client.channel(group))).toEqual(["welcome back"])
  })

  it("asks for what a push of the channel would have it give up", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    // What waited for the push behind it is not sent: it lies below its head.
    world.server.faults.copies = ({ ev }) => (ev === "event" ? 0 : 1)
    for (const text of ["one", "two"]) world.server.say(channel, "ben", text)
    world.server.faults = {}
    for (const connection of world.server.connections)
      connection.push({ ev: "channel", sync: world.server.syncOf(channel, "ana", undefined) })
    await world.time.pass(500)
    expect(texts(client.channel(group))).toEqual(["one", "two"])
    expect(client.channel(group).snapshot()).toMatchObject({ unread: 2, position: 3 })
    expect(ops(world, "sync").length).toBe(2)
  })

  it("creates, joins and leaves; each is done when the channel is here or gone", async () => {
    const world = new World()
    world.server.make("public:lobby", ["ben"])
    const client = await world.online(world.client())
    const made = client.create("group:new", { name: "New", members: ["ben"] })
    const joined = client.join("public:lobby")
    await world.time.pass(1_000)
    await made.done
    await joined.done
    expect(
      client.channels
        .snapshot()
        .channels.map(({ channel }) => channel)
        .toSorted()
    ).toEqual(["group:new", "public:lobby"])
    const left = client.leave("public:lobby")
    await world.time.pass(1_000)
    await left.done
    expect(client.channel("public:lobby").snapshot().status).toBe("left")
    const nowhere = client.join("public:nowhere").done.catch(({ code }) => code)
    await world.time.pass(1_000)
    expect(await nowhere).toBe("not_found")
  })

  it("stays in a channel that it is in again when an old leave is answered once more", async () => {
    const world = new World()
    const lobby = world.server.make("public:lobby", ["ben", "ana"])
    const client = await world.online(world.client())
    const view = client.channel("public:lobby")
    world.server.say(lobby, "ben", "before")
    await world.time.until("it is there", () => texts(view).length === 1)
    // Its answer is lost with the connection; by the time it is asked again ben has brought her back.
    world.server.faults.instead = (op) => (op === "leave" ? "silent" : undefined)
    const left = client.leave("public:lobby")
    await world.time.until("left", () => !lobby.members.has("ana"))
    world.socket.cut()
    world.server.faults = {}
    world.server.add(lobby, "ana", "ben")
    world.server.say(lobby, "ben", "while away")
    await world.time.pass(5_000)
    await left.done
    world.server.say(lobby, "ben", "after")
    await world.time.pass(5_000)
    expect(view.snapshot()).toMatchObject({ status: "member", position: 6, unread: 2 })
    expect(texts(view)).toEqual(["while away", "after"])
  })

  it("takes over the list of another session, and the views of another user not at all", async () => {
    const { world } = worldOf()
    let user = "ana"
    const client = await world.online(world.client({ token: async () => user }))
    user = "ben"
    for (const connection of world.server.connections) connection.line.close(4_202, "")
    await world.time.until("another", () => client.user === "ben" && client.status.state === "online")
    await world.time.until("listed", () => client.channel(group).snapshot().status === "member")
    expect(client.channel(group).snapshot().messages).toEqual([])
  })
})

describe("reading", () => {
  it("clears the badge at once, tells the server once an interval, and the other device within a second", async () => {
    const { channel, world } = worldOf()
    const phone = await world.online(world.client({ device: "phone" }))
    const laptop = await world.online(world.client({ device: "laptop" }))
    const view = phone.channel(group)
    for (let at = 0; at < 20; at++) {
      world.server.say(channel, "ben", `x${at}`)
      await world.time.pass(100)
      view.read()
      expect(view.snapshot().unread).toBe(0)
    }
    await world.time.until("both", () => laptop.channel(group).snapshot().unread === 0, 1_500)
    expect(ops(world, "read").length).toBeLessThanOrEqual(4)
    expect(world.server.cursor(group, "ana").seq).toBe(21)
  })

  it("†5 tells the server again what it did not hear before the connection went", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    world.server.say(channel, "ben", "x")
    await world.time.until("here", () => client.channel(group).snapshot().position === 2)
    world.down = true
    world.socket.cut()
    await world.time.pass(10)
    client.channel(group).read()
    world.down = false
    await world.time.until("told", () => world.server.cursor(group, "ana").seq === 2)
    expect(client.channel(group).snapshot()).toMatchObject({ unread: 0, cursor: 2 })
  })

  it("†5 tells the server again what it had confirmed, when it died before that was stored", async () => {
    const { channel, world } = worldOf()
    for (let at = 0; at < 9; at++) world.server.say(channel, "ben", `x${at}`)
    const client = await world.online(world.client())
    client.channel(group).read(6)
    await world.time.until("confirmed", () => world.server.cursor(group, "ana").seq === 6)
    await world.time.pass(1_000)
    world.server.session("ana").cursors.set(group, { generation: 0, seq: 2 })
    world.socket.cut()
    await world.time.until("told again", () => world.server.cursor(group, "ana").seq === 6)
    expect(client.channel(group).snapshot()).toMatchObject({ cursor: 6, unread: 4 })
    await world.time.pass(60_000)
    expect(ops(world, "read").map(({ seq }) => seq)).toEqual([6, 6])
  })

  it("†13 an own message reads nothing; what it names as seen is what was read", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.say(channel, "ben", "x")
    await world.time.until("here", () => view.snapshot().position === 2)
    view.send("a quick reply")
    await world.time.pass(100)
    expect(view.snapshot().unread).toBe(1)
    expect(ops(world, "send")[0]).not.toHaveProperty("seen")
    view.read()
    view.send("another")
    await world.time.pass(100)
    expect(ops(world, "send")[1]).toMatchObject({ seen: 3 })
  })

  it("†5 marks unread on all devices, and does not take it back by what was read before", async () => {
    const { channel, world } = worldOf()
    const phone = await world.online(world.client({ device: "phone" }))
    const laptop = await world.online(world.client({ device: "laptop" }))
    for (const text of ["one", "two", "three"]) world.server.say(channel, "ben", text)
    await world.time.pass(100)
    phone.channel(group).read()
    await world.time.pass(2_000)
    phone.channel(group).markUnread(2)
    await world.time.pass(100)
    for (const client of [phone, laptop])
      expect(client.channel(group).snapshot()).toMatchObject({ unread: 2, cursor: 2 })
    laptop.channel(group).read(3)
    await world.time.pass(2_000)
    for (const client of [phone, laptop])
      expect(client.channel(group).snapshot()).toMatchObject({ unread: 1, cursor: 3 })
  })

  it("asks for the count when it hears of a mark unread without it, and does not hold what is unread now", async () => {
    const { channel, world } = worldOf()
    for (let at = 0; at < 9; at++) world.server.say(channel, "ben", `x${at}`)
    const client = await world.online(world.client())
    client.channel(group).read()
    await world.time.until("read", () => world.server.cursor(group, "ana").seq === 10)
    // Another device's doing; the push with the counts is lost.
    const { user_seq } = world.server.personal("ana", { kind: "marked_unread", channel: group, seq: 4, cid: "c" })
    world.server.session("ana").cursors.set(group, { generation: user_seq, seq: 4 })
    await world.time.until("counted", () => client.channel(group).snapshot().unread === 6)
    expect(client.channel(group).snapshot().cursor).toBe(4)
    expect(ops(world, "sync").length).toBe(2)
  })

  it("asks the server for the count when an unread message that it does not hold is deleted", async () => {
    const { channel, world } = worldOf()
    const target = world.server.say(channel, "ben", "one")
    world.server.say(channel, "ana", "own")
    const client = await world.online(world.client())
    expect(client.channel(group).snapshot().unread).toBe(1)
    world.server.append(channel, { kind: "delete", by: "ben", cid: "x", target: target.seq }, undefined)
    await world.time.until("counted", () => client.channel(group).snapshot().unread === 0)
    expect(client.channel(group).snapshot().cursor).toBe(0)
  })
})

describe("typing and presence", () => {
  it("sends one typing sign an interval however many keys are pressed, and one when it ends", async () => {
    const { world } = worldOf()
    const client = await world.online(world.client())
    for (let at = 0; at < 100; at++) {
      client.channel(group).typing()
      await world.time.pass(100)
    }
    await world.time.pass(20_000)
    const signs = ops(world, "typing").map((frame) => frame["on"])
    expect(signs.filter(Boolean).length).toBeLessThanOrEqual(Math.ceil(10_000 / Limits.typingIntervalMs) + 1)
    expect(signs.at(-1)).toBe(false)
    expect(signs.filter((on) => !on).length).toBe(1)
  })

  it("shows who types until the sign ends, the message comes, or its time is over", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    const sign = (user: string, on = true) => {
      for (const connection of world.server.connections)
        connection.push({ ev: "typing", channel: group, user, on, ttl_ms: Limits.typingTtlMs })
    }
    for (const user of ["ben", "cleo", "dora", "ana"]) sign(user)
    await world.time.pass(100)
    expect(view.snapshot().typing).toEqual(["ben", "cleo", "dora"])
    sign("cleo", false)
    world.server.say(channel, "ben", "done")
    await world.time.pass(100)
    expect(view.snapshot().typing).toEqual(["dora"])
    await world.time.pass(Limits.typingTtlMs)
    expect(view.snapshot().typing).toEqual([])
  })

  it("watches presence anew on each connection and when a version is missing", async () => {
    const { world } = worldOf()
    const client = await world.online(world.client())
    client.presence.watch(["ben"])
    await world.time.pass(200)
    const push = (n: number, state: "online" | "offline") => {
      for (const connection of world.server.connections)
        connection.push({
          ev: "presence",
          shard: 0,
          epoch: 1,
          n,
          users: [
            { user: "ben", state, last_seen: null },
            { user: "other", state, last_seen: null }
          ]
        })
    }
    push(1, "online")
    await world.time.pass(100)
    expect([...client.presence.snapshot()]).toEqual([["ben", { state: "online", lastSeen: null }]])
    await world.time.pass(5_000)
    expect(ops(world, "presence_watch").length).toBe(1)
    push(3, "offline")
    await world.time.until("watched again", () => ops(world, "presence_watch").length === 2, 2_000)
    expect(client.presence.of("ben").state).toBe("offline")
    world.socket.cut()
    await world.time.until("watched again", () => ops(world, "presence_watch").length === 3)
  })
})

describe("read fan-out", () => {
  it("gets live events only where it watches, and what it missed when it begins to", async () => {
    const { channel, world } = worldOf(["ana", "ben", "cleo"])
    channel.fanout = "read"
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.say(channel, "ben", "not seen live")
    await world.time.pass(60_000)
    expect(texts(view)).toEqual([])
    view.watch()
    await world.time.until("caught up", () => texts(view).length === 1)
    world.server.say(channel, "ben", "live")
    await world.time.until("live", () => texts(view).length === 2)
    world.socket.cut()
    await world.time.until("watched again", () => ops(world, "watch").length === 2)
  })

  it("does not sync for every departure from a channel that it does not watch, but leaves when it is its own", async () => {
    const { channel, world } = worldOf(["ana", "ben", "cleo", "dora"])
    channel.fanout = "read"
    const client = await world.online(world.client())
    world.server.say(channel, "ben", "x")
    world.server.remove(channel, "cleo", "ben")
    world.server.heartbeatHeads()
    await world.time.pass(60_000)
    expect(ops(world, "sync").length).toBe(1)
    // By the channel's own event alone.
    world.server.faults.copies = (push) => (push.ev === "personal" ? 0 : 1)
    world.server.remove(channel, "ana", "ben")
    await world.time.until("left", () => client.channel(group).snapshot().status === "left", 1_000)
  })

  it("catches up when the channel goes back to write fan-out", async () => {
    const { channel, world } = worldOf()
    channel.fanout = "read"
    const client = await world.online(world.client())
    world.server.say(channel, "ben", "one")
    channel.fanout = "write"
    world.server.append(channel, { kind: "fanout", by: "ben", fanout: "write" }, undefined)
    world.server.say(channel, "ben", "two")
    await world.time.until("caught up", () => texts(client.channel(group)).join() === "one,two")
    expect(client.channel(group).snapshot().fanout).toBe("write")
  })
})

describe("bounds", () => {
  it("holds no more messages than it may, and gets the older ones again", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(
      world.client({ settings: { messagesHeldMax: 10, messagesIdleMax: 5, historyPageRows: 4 } })
    )
    const view = client.channel(group)
    const say = async (count: number) => {
      for (let at = 0; at < count; at++) world.server.say(channel, "ben", `x${channel.events.length}`)
      await world.time.pass(100)
    }
    await say(30)
    expect(texts(view).length).toBe(5)
    const unsubscribe = view.subscribe(() => {})
    await say(30)
    expect(texts(view).length).toBe(10)
    await older(world, view)
    expect(texts(view)).toEqual(Array.from({ length: 14 }, (_, at) => `x${at + 47}`))
    await say(1)
    expect(texts(view).length).toBe(15)
    view.release()
    expect(texts(view).length).toBe(10)
    expect(view.snapshot().more).toBe(true)
    unsubscribe()
    while (await older(world, view));
    expect(texts(view).length).toBe(61)
  })

  it("names no more positions in a sync than fit into a frame", async () => {
    const world = new World()
    world.server.bounds = { eventsPerSync: 10, gapMax: 100, channelsPerPage: 500, receiptsMembersMax: 4 }
    const long = "x".repeat(58)
    for (let at = 0; at < 900; at++) world.server.make(`group:${long}${String(at).padStart(4, "0")}`, ["ana"])
    const client = await world.online(world.client())
    expect(client.channels.snapshot().channels.length).toBe(900)
    world.socket.cut()
    await world.time.until("resumed", () => ops(world, "sync").length >= 3 && client.status.state === "online")
    const last = ops(world, "sync").at(-1)!
    expect(JSON.stringify(last).length).toBeLessThan(Limits.frameBytesMax)
    expect(last["channels"].length).toBeGreaterThan(500)
  })

  it("answers requests beyond its bound as lost, instead of queueing without end", async () => {
    const { world } = worldOf()
    const client = await world.online(world.client({ settings: { requestsInFlightMax: 2 } }))
    world.server.faults.instead = () => "silent"
    const pages = [1, 2, 3].map(() => client.history(group, { limit: 1 }).catch(({ code }) => code))
    expect(await Promise.race([pages[2], world.time.pass(1_000)])).toBe("disconnected")
  })
})
