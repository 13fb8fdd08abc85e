/**
 * Counts that were made before what is on the device, or are of a cursor that was set back: as `read`s of other devices
 * bring them while messages go on. What is shown is then right, or known to be stale and asked for.
 */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ChannelReplica } from "../src/ChannelReplica.ts"
import type { PlainEvent, PlainHead, PlainMessage, PlainPosition } from "../src/PlainFrame.ts"
import { World } from "./World.ts"

const me = "ana"
const start: PlainPosition = { generation: 0, seq: 0 }

/** The channel as its owner has it. */
class Owner {
  readonly events: Array<PlainEvent> = []
  cursor = start
  #marks = 0

  get head(): number {
    return this.events.length
  }

  say(by: string, mention = false): void {
    const seq = this.head + 1
    const mentions = mention ? { mentions: [me] } : {}
    this.events.push({ kind: "message", seq, at: 1, by, cid: `c${seq}`, n: 1, text: "", ...mentions })
  }

  /** Edits or deletes one of the messages that are there. */
  change(kind: "edit" | "delete", pick: number, mention: boolean): void {
    const there = this.messages(this.head).filter(({ deleted }) => deleted === undefined)
    const message = there[pick % Math.max(1, there.length)]
    if (message === undefined) return
    const base = { seq: this.head + 1, at: 1, by: message.by, cid: "c", target: message.seq }
    if (kind === "delete") this.events.push({ kind, ...base })
    else this.events.push({ kind, ...base, text: "", ...(mention ? { mentions: [me] } : {}) })
  }

  messages(head: number): ReadonlyArray<PlainMessage> {
    const changes = this.events.slice(0, head)
    return changes.flatMap((event) => (event.kind === "message" ? [changes.reduce(changed, event)] : []))
  }

  read(seq: number): void {
    if (seq > this.cursor.seq) this.cursor = { ...this.cursor, seq }
  }

  markUnread(seq: number): void {
    this.cursor = { generation: ++this.#marks, seq }
  }

  state(head = this.head) {
    const unread = this.messages(head).filter(
      ({ by, deleted, seq }) => seq > this.cursor.seq && by !== me && deleted === undefined
    )
    const mentions = unread.filter(({ mentions }) => mentions?.includes(me))
    return { cursor: this.cursor, unread: unread.length, mentions: mentions.length, head }
  }

  /** As a sync tells it to somebody who holds `held`; null: reload. */
  sync(held: number | null) {
    const { cursor, head: seq, mentions, unread } = this.state()
    const rest = { n: 1, name: "", topic: "", members: 2, role: "member", fanout: "write", last: null } as const
    const head: PlainHead = { channel: "group:a", generation: 1, seq, cursor, unread, mentions, ...rest }
    const current = this.messages(seq)
    const events = this.events
      .slice(held ?? seq)
      .map((event) =>
        event.kind === "message" ? (current.find((message) => message.seq === event.seq) ?? event) : event
      )
    return { head, from: held ?? seq, to: seq, reload: held === null, events }
  }
}

const changed = (message: PlainMessage, event: PlainEvent): PlainMessage => {
  if ((event.kind !== "edit" && event.kind !== "delete") || event.target !== message.seq) return message
  const { mentions: _, ...rest } = message
  if (event.kind === "delete") return { ...rest, deleted: event.seq }
  return { ...rest, edited: event.seq, ...(event.mentions === undefined ? {} : { mentions: event.mentions }) }
}

const replica = () => new ChannelReplica({ heldBackMax: 64, orphansMax: 64 }, () => me)
const shown = ({ unread }: ChannelReplica) => ({
  cursor: unread.cursor,
  unread: unread.unread,
  mentions: unread.mentions
})
const truth = ({ cursor, mentions, unread }: ReturnType<Owner["state"]>) => ({ cursor, unread, mentions })

type Step =
  | { readonly do: "say"; readonly own: boolean; readonly mention: boolean }
  | { readonly do: "edit" | "delete"; readonly pick: number; readonly mention: boolean }
  /** Another device moves the cursor, by counts that were made so many events ago. */
  | { readonly do: "read" | "markUnread"; readonly back: number; readonly counted: number }
  | { readonly do: "event" | "sync" | "reload" | "readHere" }

const few = fc.nat(12)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("say" as const), own: fc.boolean(), mention: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("edit" as const, "delete" as const),
      pick: fc.nat(1_000),
      mention: fc.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("read" as const, "markUnread" as const), back: few, counted: few })
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("event" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("sync" as const, "reload" as const, "readHere" as const) })
  }
)

const position = (replica: ChannelReplica) => replica.position?.seq ?? 0

/** A sync would tell of a message that is deleted or edited by now: not of whom it named before. */
const bringsChanged = (owner: Owner, device: ChannelReplica): boolean =>
  owner
    .sync(position(device))
    .events.some((event) => event.kind === "message" && (event.deleted ?? event.edited) !== undefined)

const perform = (step: Step, owner: Owner, device: ChannelReplica): void => {
  switch (step.do) {
    case "say":
      return owner.say(step.own ? me : "ben", step.mention)
    case "edit":
    case "delete":
      return owner.change(step.do, step.pick, step.mention)
    case "read":
    case "markUnread": {
      const seq = Math.max(0, owner.head - step.back)
      if (step.do === "read") owner.read(seq)
      else owner.markUnread(seq)
      device.readState(owner.state(Math.max(owner.cursor.seq, owner.head - step.counted)))
      return
    }
    case "event": {
      const next = owner.events[position(device)]
      if (next !== undefined) device.offer(next.seq - 1, next.seq, [next])
      return
    }
    case "sync":
      return void device.sync(owner.sync(position(device)))
    case "reload":
      if (owner.head > position(device)) device.sync(owner.sync(null))
      return
    case "readHere":
      if (device.unread.readTo(position(device), device.countHeld)) owner.read(position(device))
  }
}

describe("counts of another head than the device's", () => {
  it("are right once all is here, or known to be stale until the server's answer", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const owner = new Owner()
        owner.say("ben")
        const device = replica()
        device.sync(owner.sync(0))
        let changed = false
        for (const step of steps) {
          changed ||= step.do === "sync" && bringsChanged(owner, device)
          perform(step, owner, device)
        }
        for (const event of owner.events.slice(position(device))) device.offer(event.seq - 1, event.seq, [event])
        // A device holds all it needs that was never told to reload, nor of a message only after its change.
        if (!changed && !steps.some((step) => step.do === "reload")) expect(device.unread.stale).toBe(false)
        if (device.unread.stale) device.readState(owner.state())
        expect(device.unread.stale).toBe(false)
        expect(shown(device)).toEqual(truth(owner.state()))
      }),
      { numRuns: 20_000 }
    )
  })

  it("count what is held after them, but not what a reload left out", () => {
    const owner = new Owner()
    const device = replica()
    for (let seq = 1; seq <= 10; seq++) owner.say("ben")
    device.sync(owner.sync(null))
    owner.read(2)
    const late = owner.state()
    for (let seq = 11; seq <= 13; seq++) owner.say("ben")
    device.sync(owner.sync(10))
    device.readState(late)
    expect(shown(device)).toMatchObject({ unread: 11 })
    owner.read(3)
    const older = owner.state(9)
    device.readState(older)
    expect(device.unread.stale).toBe(true)
    device.readState(owner.state())
    expect(device.unread.stale).toBe(false)
    expect(shown(device)).toMatchObject({ unread: 10 })
  })

  it("are sure without the text of a deleted message, unless one that was counted may have been a mention", () => {
    const deviceWhere = (mention: boolean) => {
      const owner = new Owner()
      owner.say("ben", mention)
      owner.say("ben", mention)
      const device = replica()
      device.sync(owner.sync(0))
      owner.say("ben", mention)
      owner.change("delete", 2, false)
      device.sync(owner.sync(2))
      owner.read(1)
      device.readState(owner.state(3))
      return device
    }
    const plain = deviceWhere(false)
    expect(plain.unread.stale).toBe(false)
    expect(shown(plain)).toMatchObject({ unread: 1, mentions: 0 })
    expect(deviceWhere(true).unread.stale).toBe(true)
  })

  it("are asked for where an edit may have changed whom a counted message names, of which only the later form came", () => {
    const deviceWhere = (mention: boolean) => {
      const owner = new Owner()
      owner.say("ben")
      const device = replica()
      device.sync(owner.sync(0))
      owner.say("ben")
      owner.change("edit", 1, mention)
      device.sync(owner.sync(1))
      owner.read(1)
      device.readState(owner.state(2))
      const { stale } = device.unread
      device.readState(owner.state())
      expect(shown(device)).toEqual(truth(owner.state()))
      return stale
    }
    expect(deviceWhere(true)).toBe(true)
    expect(deviceWhere(false)).toBe(false)
  })

  it("that reach beyond the effects that are kept are asked for", () => {
    const owner = new Owner()
    const device = replica()
    device.sync(owner.sync(0))
    for (let seq = 1; seq <= 2_000; seq++) {
      owner.say("ben")
      device.offer(seq - 1, seq, owner.events.slice(-1))
    }
    expect(shown(device)).toMatchObject({ unread: 2_000 })
    device.window.trim(10)
    owner.read(1)
    device.readState(owner.state(100))
    expect(device.unread.stale).toBe(true)
    owner.read(2)
    device.readState(owner.state(1_900))
    expect(device.unread.stale).toBe(false)
    expect(shown(device)).toMatchObject({ unread: 1_998 })
  })
})

const group = "group:a"

describe("a device whose counts are older than its reload", () => {
  const worldAfterReload = async () => {
    const world = new World()
    const channel = world.server.make(group, ["ana", "ben"])
    for (let at = 0; at < 60; at++) world.server.say(channel, "ben", `x${at}`)
    const view = (await world.online(world.client())).channel(group)
    expect(view.snapshot()).toMatchObject({ position: 61, unread: 60, messages: [] })
    const asked = () => world.server.received.filter(({ op }) => op === "read")
    /** As a `read` of another device, whose counts were on their way for so many events, tells it. */
    const late = (seq: number, before: number) => {
      world.server.session("ana").cursors.set(group, { generation: 0, seq })
      const state = world.server.readState(channel, "ana", before)
      for (const connection of world.server.connections) connection.push({ ev: "cursor", channel: group, ...state })
    }
    return { asked, channel, late, view, world }
  }

  it("asks for them, without moving the cursor", async () => {
    const { asked, late, view, world } = await worldAfterReload()
    late(20, 5)
    await world.time.until("asked", () => asked().length === 1)
    expect(asked()[0]).toMatchObject({ channel: group, seq: 0 })
    await world.time.until("told", () => view.snapshot().unread === 41)
    await world.time.pass(60_000)
    expect(asked().length).toBe(1)
    expect(view.snapshot().cursor).toBe(20)
  })

  it("does not take back what another device marks unread meanwhile", async () => {
    const { asked, late, view, world } = await worldAfterReload()
    late(20, 5)
    await world.time.until("asked", () => asked().length === 1)
    world.server.session("ana").cursors.set(group, { generation: 9, seq: 4 })
    await world.time.until("told", () => view.snapshot().unread === 57 || view.snapshot().unread === 41)
    await world.time.pass(1_000)
    expect(world.server.cursor(group, "ana")).toEqual({ generation: 9, seq: 4 })
  })

  it("asks for counts that came before the channel itself", async () => {
    const world = new World()
    const client = await world.online(world.client())
    const channel = world.server.make(group, ["ana", "ben"])
    for (let at = 0; at < 60; at++) world.server.say(channel, "ben", `x${at}`)
    const early = world.server.syncOf(channel, "ana", undefined)
    world.server.session("ana").cursors.set(group, { generation: 0, seq: 20 })
    const state = world.server.readState(channel, "ana", 3)
    for (const connection of world.server.connections) {
      connection.push({ ev: "cursor", channel: group, ...state })
      connection.push({ ev: "channel", sync: early })
    }
    await world.time.until("counted", () => client.channel(group).snapshot().unread === 41)
    expect(client.channel(group).snapshot().cursor).toBe(20)
    expect(world.server.received.filter(({ op }) => op === "sync").length).toBe(1)
  })
})
