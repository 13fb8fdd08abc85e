import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { PlainEvent, PlainMessage, PlainReceipt } from "../src/PlainFrame.ts"
import { readersOf, Receipts } from "../src/Receipts.ts"
import { World } from "./World.ts"

const group = "group:a"
const users = ["ben", "cleo", "dan"] as const

const receipt = (user: string, delivered: number, read: number): PlainReceipt => ({ user, delivered, read })
const message = (seq: number): PlainMessage => ({
  seq,
  at: 1,
  kind: "message",
  by: "ana",
  cid: `c${seq}`,
  n: 1,
  text: ""
})
const membership = (kind: "added" | "removed", seq: number, member: string): PlainEvent => ({
  seq,
  at: 1,
  kind,
  by: "ana",
  cid: `c${seq}`,
  members: [member]
})

describe("Receipts", () => {
  it("end the same in whatever order, and however often, they come", () => {
    const one = fc.record({ user: fc.constantFrom(...users), delivered: fc.nat(20), read: fc.nat(20) })
    fc.assert(
      fc.property(fc.array(one), fc.array(one), fc.infiniteStream(fc.nat()), (pushed, listed, order) => {
        const straight = new Receipts()
        straight.adopt({ seq: 20, receipts: listed }, "ana")
        for (const receipt of pushed) straight.take(receipt, "ana")
        const shuffled = new Receipts()
        for (const receipt of pushed.toSorted(() => ((order.next().value ?? 0) % 3) - 1)) shuffled.take(receipt, "ana")
        shuffled.adopt({ seq: 20, receipts: listed }, "ana")
        for (const receipt of pushed) shuffled.take(receipt, "ana")
        expect(shuffled.list).toEqual(straight.list)
      })
    )
  })

  it("give the same list until something changes", () => {
    const receipts = new Receipts()
    receipts.adopt({ seq: 1, receipts: [receipt("ben", 3, 2)] }, "ana")
    const { list } = receipts
    expect(receipts.take(receipt("ben", 2, 1), "ana")).toBe(false)
    expect(receipts.list).toBe(list)
    expect(receipts.take(receipt("ben", 4, 1), "ana")).toBe(true)
    expect(receipts.list).toEqual([receipt("ben", 4, 2)])
  })

  it("count a message for those who were members when it was sent", () => {
    const receipts = new Receipts()
    receipts.adopt({ seq: 1, receipts: [receipt("ben", 9, 5), receipt("ana", 9, 9)] }, "ana")
    receipts.apply(membership("added", 7, "cleo"))
    receipts.take(receipt("cleo", 9, 9), "ana")
    const of = receipts.counter(3, "ana")
    expect(of?.(message(5))).toEqual({ deliveredTo: 1, readBy: 1, others: 1 })
    expect(of?.(message(6))).toEqual({ deliveredTo: 1, readBy: 0, others: 1 })
    expect(of?.(message(9))).toEqual({ deliveredTo: 2, readBy: 1, others: 2 })
    expect(readersOf(receipts.list, 9)).toEqual(["cleo"])
  })

  it("forget who is no member any more, but not who came back by the time of the head", () => {
    const receipts = new Receipts()
    receipts.adopt({ seq: 8, receipts: [receipt("ben", 9, 5)] }, "ana")
    receipts.take(receipt("cleo", 2, 2), "ana")
    for (const user of users) receipts.apply(membership("removed", 6, user))
    expect(receipts.list).toEqual([receipt("ben", 9, 5)])
    receipts.apply(membership("removed", 9, "ben"))
    expect(receipts.list).toEqual([])
  })

  it("are none where a head has none: the channel is too large", () => {
    const receipts = new Receipts()
    receipts.adopt({ seq: 8, receipts: [receipt("ben", 9, 5)] }, "ana")
    receipts.adopt({ seq: 9 }, "ana")
    expect(receipts).toMatchObject({ list: null, shown: false })
    expect(receipts.counter(40, "ana")).toBe(null)
  })
})

const worldOf = (members: ReadonlyArray<string> = ["ana", "ben", "cleo"]) => {
  const world = new World()
  return { world, channel: world.server.make(group, members) }
}
const ops = (world: World, op: string) => world.server.received.filter((frame) => frame.op === op)

describe("receipts of a channel", () => {
  it("show on an own message, which stays the same object until its own counts change", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    const view = client.channel(group)
    view.send("first")
    view.send("second")
    await world.time.until("sent", () => view.snapshot().position === 3)
    const before = view.snapshot()
    expect(before.messages.map(({ receipt }) => receipt)).toEqual([
      { deliveredTo: 0, readBy: 0, others: 2 },
      { deliveredTo: 0, readBy: 0, others: 2 }
    ])
    world.server.progress(channel, "ben", 3, 2)
    await world.time.until("told", () => view.snapshot().receipts?.length === 1)
    world.server.progress(channel, "cleo", 3, 0)
    await world.time.until("told", () => view.snapshot().receipts?.length === 2)
    const after = view.snapshot().messages
    expect(after.map(({ receipt }) => receipt)).toEqual([
      { deliveredTo: 2, readBy: 1, others: 2 },
      { deliveredTo: 2, readBy: 0, others: 2 }
    ])
    world.server.progress(channel, "cleo", 3, 2)
    await world.time.until("told", () => view.snapshot().messages[0]?.receipt?.readBy === 2)
    expect(view.snapshot().messages[1]).toBe(after[1])
  })

  it("come with the next head when a push was lost", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    world.server.faults.copies = ({ ev }) => (ev === "receipt" ? 0 : 1)
    world.server.progress(channel, "ben", 1, 1)
    await world.time.pass(1_000)
    expect(client.channel(group).snapshot().receipts).toEqual([])
    world.socket.cut()
    await world.time.until("resumed", () => ops(world, "sync").length === 2)
    await world.time.until("told", () => client.channel(group).snapshot().receipts?.length === 1)
  })

  it("tells what arrived, one frame for many messages, and not what was read meanwhile", async () => {
    const { channel, world } = worldOf()
    const client = await world.online(world.client())
    for (let at = 0; at < 20; at++) world.server.say(channel, "ben", `x${at}`)
    await world.time.pass(5_000)
    expect(ops(world, "delivered").map(({ seq }) => seq)).toEqual([21])
    const view = client.channel(group)
    const unsubscribe = view.subscribe(() => view.read())
    world.server.say(channel, "ben", "seen at once")
    await world.time.pass(5_000)
    expect(ops(world, "read").map(({ seq }) => seq)).toEqual([22])
    expect(ops(world, "delivered").length).toBe(1)
    unsubscribe()
  })

  it("tells after a start what came while the device was away, once, and nothing that is known", async () => {
    const { channel, world } = worldOf()
    world.server.say(channel, "ben", "while away")
    const client = await world.online(world.client())
    await world.time.pass(5_000)
    expect(channel.receipts.get("ana")).toEqual({ user: "ana", delivered: 2, read: 0 })
    await client.close()
    await world.online(world.client())
    await world.time.pass(5_000)
    expect(ops(world, "delivered").length).toBe(1)
  })

  it("tells nothing where the channel is too large to show it", async () => {
    const { channel, world } = worldOf(["ana", "ben", "cleo", "dan", "eva"])
    const client = await world.online(world.client())
    world.server.say(channel, "ben", "to many")
    client.channel(group).send("to many too")
    await world.time.pass(5_000)
    expect(ops(world, "delivered")).toEqual([])
    expect(client.channel(group).snapshot()).toMatchObject({ receipts: null, messages: [{}, { receipt: null }] })
  })

  it("tells what a person read before what devices got, however many channels there are", async () => {
    const world = new World()
    const channels = Array.from({ length: 60 }, (_, at) => world.server.make(`group:${at}`, ["ana", "ben"]))
    const client = await world.online(world.client({ settings: { readSpacingMs: 500 } }))
    for (const channel of channels) world.server.say(channel, "ben", "x")
    await world.time.pass(2_000)
    client.channel("group:59").read()
    await world.time.pass(600)
    expect(ops(world, "read").map(({ channel }) => channel)).toEqual(["group:59"])
  })
})

describe("channels that can't be answered", () => {
  it("keep what is held, and are asked for again until they are", async () => {
    const world = new World()
    const [a] = [world.server.make("group:a", ["ana", "ben"]), world.server.make("group:b", ["ana", "ben"])]
    const client = await world.online(world.client())
    world.server.say(a, "ben", "held")
    await world.time.until("held", () => client.channel("group:a").snapshot().position === 2)
    world.server.faults.unavailable = (channel) => channel === "group:a"
    // The user's session is another one, too: its list is the only one there is.
    world.server.sessions.set("ana", { generation: 2, events: [], cursors: new Map() })
    world.socket.cut()
    world.server.say(a, "ben", "missed")
    await world.time.until("resumed", () => ops(world, "sync").length > 4)
    expect(client.channel("group:a").snapshot()).toMatchObject({ status: "member", position: 2 })
    world.server.faults = {}
    await world.time.until("answered", () => client.channel("group:a").snapshot().position === 3)
    const syncs = ops(world, "sync").length
    await world.time.pass(60_000)
    expect(ops(world, "sync").length).toBe(syncs)
  })
})
