/**
 * The orders in which a device's copy went wrong: a cursor's push made below the reload before it, events and own acks
 * that came before the sync, a sync's answer that is older than the push `channel` before it.
 */
import type { ChannelEvent, MessageEvent } from "@parley/protocol/Event"
import type { ChannelSync } from "@parley/protocol/Frame"
import { describe, expect, it } from "vitest"
import { ChannelCopy } from "./ChannelCopy.ts"

// Ids as the schemas of the frames accept them.
const message = (seq: number): MessageEvent =>
  ({ kind: "message", seq, at: 1, by: "ben", cid: `c${seq}`, n: seq, text: "" }) as unknown as MessageEvent

const sync = (to: number, cursor: number, from?: number): ChannelSync =>
  ({
    head: {
      channel: "group:red",
      generation: 1,
      seq: to,
      n: to,
      name: "red",
      topic: "",
      members: 2,
      role: "member",
      fanout: "write",
      cursor: { generation: 0, seq: cursor },
      unread: to - cursor,
      mentions: 0,
      last: null
    },
    from: from ?? to,
    to,
    reload: from === undefined,
    events: from === undefined ? [] : Array.from({ length: to - from }, (_, at) => message(from + at + 1))
  }) as unknown as ChannelSync // as: of a sync only these fields are looked at

/** As the device makes it of an own ack, or as it is pushed. */
const event = (seq: number, fields: object): ChannelEvent =>
  ({ seq, at: 1, by: "ben", cid: `c${seq}`, ...fields }) as unknown as ChannelEvent // as: ids as in messages

const counts = (cursor: number, head: number) => ({
  cursor: { generation: 0, seq: cursor },
  unread: head - cursor,
  mentions: 0,
  head
})

describe("a device's copy of a channel", () => {
  it("counts on top of an older head what it holds above it", () => {
    const copy = new ChannelCopy("dan")
    copy.sync(sync(100, 80))
    copy.sync(sync(104, 80, 100))
    copy.readState(counts(83, 101))
    expect(copy.uncounted).toBe(false)
    expect(copy.view().unread).toBe(21)
  })

  it("has to ask where a reload left out what lies above that head", () => {
    const copy = new ChannelCopy("dan")
    copy.sync(sync(100, 80))
    copy.readState(counts(83, 99))
    expect(copy.uncounted).toBe(true)
    copy.readState(counts(83, 100))
    expect(copy.uncounted).toBe(false)
    expect(copy.view()).toMatchObject({ unread: 17, cursor: { seq: 83 } })
  })

  it("has to ask after a delete of what it does not hold: it may be from before the user's stay, and not counted", () => {
    const copy = new ChannelCopy("dan")
    copy.sync(sync(100, 80))
    copy.offer(100, 101, [event(101, { kind: "delete", target: 90 })])
    expect(copy.uncounted).toBe(true)
    copy.readState({ ...counts(80, 101), unread: 20 })
    expect(copy.uncounted).toBe(false)
    expect(copy.view().unread).toBe(20)
  })

  it("keeps a cursor that came before the channel did", () => {
    const copy = new ChannelCopy("dan")
    copy.readState(counts(83, 99))
    copy.sync(sync(100, 80))
    expect(copy.uncounted).toBe(true)
    copy.readState(counts(83, 100))
    expect(copy.view()).toMatchObject({ unread: 17, cursor: { seq: 83 } })
  })

  it("knows where the server forgot a cursor that another device's reading told", () => {
    const copy = new ChannelCopy("dan")
    copy.sync(sync(100, 80))
    copy.readState(counts(95, 100))
    expect(copy.forgotten).toBeUndefined()
    copy.sync(sync(100, 80, 100))
    expect(copy.forgotten).toEqual({ generation: 0, seq: 95 })
    copy.readState(counts(95, 100))
    expect(copy.forgotten).toBeUndefined()
  })

  it("takes the head's values also where what came before it lies above it", () => {
    const copy = new ChannelCopy("dan")
    copy.offer(100, 101, [message(101)])
    copy.offer(101, 102, [event(102, { kind: "added", members: ["eva"] })])
    copy.sync(sync(100, 80))
    expect(copy.view()).toMatchObject({ seq: 102, n: 101, name: "red", members: 3, unread: 21, last: { seq: 101 } })
  })

  it("changes the head's last message by an edit that came before the head", () => {
    const copy = new ChannelCopy("dan")
    copy.offer(100, 101, [event(101, { kind: "edit", target: 100, text: "new" })])
    const brought = sync(100, 80)
    copy.sync({ ...brought, head: { ...brought.head, last: message(100) } })
    expect(copy.view().last).toMatchObject({ seq: 100, text: "new", edited: 101 })
  })

  it("does not go back to a reload that was made before the push that brought the channel", () => {
    const copy = new ChannelCopy("dan")
    copy.sync(sync(100, 80))
    copy.offer(100, 101, [message(101)])
    copy.sync(sync(99, 80))
    copy.offer(101, 102, [message(102)])
    expect(copy.hole).toBe(false)
    expect(copy.view()).toMatchObject({ seq: 102, n: 102, unread: 22 })
    expect(copy.messages().map(({ seq }) => seq)).toEqual([101, 102])
  })
})
