/** Orders in which a channel comes to a device: what waited before its sync, and another generation after it. */
import { describe, expect, it } from "vitest"
import { ChannelReplica } from "../src/ChannelReplica.ts"
import type { PlainChannelSync, PlainEvent, PlainHead, PlainMessage } from "../src/PlainFrame.ts"

const me = "ana"
const replica = () => new ChannelReplica({ heldBackMax: 64, orphansMax: 64 }, () => me)

const message = (seq: number, by = "ben"): PlainMessage => ({
  kind: "message",
  seq,
  at: 1,
  by,
  cid: `c${seq}`,
  n: seq,
  text: `m${seq}`
})

const event = (seq: number, fields: object): PlainEvent =>
  // Of one of the kinds, by its caller.
  ({ seq, at: 1, by: "ben", cid: `c${seq}`, ...fields }) as PlainEvent

const reloadAt = (seq: number, fields: Partial<PlainHead> = {}): PlainChannelSync => {
  const head: PlainHead = {
    channel: "group:a",
    generation: 1,
    seq,
    n: seq,
    name: "red",
    topic: "roses",
    members: 3,
    role: "member",
    fanout: "write",
    cursor: { generation: 0, seq: 90 },
    unread: seq - 90,
    mentions: 0,
    last: message(seq),
    receipts: [
      { user: "ben", delivered: 95, read: 95 },
      { user: "eva", delivered: 95, read: 95 }
    ],
    ...fields
  }
  return { head, from: seq, to: seq, reload: true, events: [] }
}

describe("a channel that comes after events of it", () => {
  it("has the head's values, changed by what waited above it", () => {
    const copy = replica()
    copy.offer(100, 101, [event(101, { kind: "updated", topic: "violets" })])
    copy.offer(101, 102, [message(102)])
    copy.offer(102, 103, [event(103, { kind: "removed", members: ["eva"] })])
    copy.offer(103, 104, [event(104, { kind: "edit", target: 100, text: "edited", by: "ben" })])
    expect(copy.sync(reloadAt(100)).map(({ seq }) => seq)).toEqual([101, 102, 103, 104])
    expect(copy.position).toEqual({ generation: 1, seq: 104 })
    expect(copy.settings.values).toMatchObject({ name: "red", topic: "violets", members: 2 })
    expect(copy.receipts.list?.map(({ user }) => user)).toEqual(["ben"])
    expect(copy.unread.unread).toBe(11)
    expect(copy.last).toMatchObject({ seq: 102 })
  })

  it("previews the head's last message as an edit that waited made it", () => {
    const copy = replica()
    copy.offer(100, 101, [event(101, { kind: "edit", target: 100, text: "edited" })])
    copy.sync(reloadAt(100))
    expect(copy.last).toMatchObject({ seq: 100, text: "edited", edited: 101 })
  })

  it("previews nothing of an earlier stay where nothing was said in this one", () => {
    const copy = replica()
    copy.sync(reloadAt(100))
    copy.sync(reloadAt(104, { last: null, unread: 0 }))
    expect(copy.position).toEqual({ generation: 1, seq: 104 })
    expect([copy.last, copy.window.messages]).toEqual([null, []])
    copy.offer(104, 105, [message(105)])
    copy.sync(reloadAt(104, { last: null, unread: 0 }))
    expect(copy.last).toMatchObject({ seq: 105 })
  })

  it("keeps nothing after the own removal, though more waited", () => {
    const copy = replica()
    copy.offer(100, 101, [event(101, { kind: "removed", members: [me] })])
    copy.offer(101, 102, [message(102)])
    copy.sync({ ...reloadAt(100), from: 99, reload: false, events: [message(100)] })
    expect(copy.status).toBe("left")
    expect([copy.hole, copy.known, copy.window.messages]).toEqual([false, 0, []])
  })

  it("is not entered again by an answer from before a second removal, though nothing of the stay between had come", () => {
    const copy = replica()
    copy.sync(reloadAt(100))
    copy.leave(101)
    copy.leave(104)
    // Said once more.
    copy.leave(101)
    copy.sync(reloadAt(103))
    expect(copy.status).toBe("left")
    copy.sync(reloadAt(105))
    expect(copy.position).toEqual({ generation: 1, seq: 105 })
  })

  it("does not go back to a reload that was made before what is held", () => {
    const copy = replica()
    copy.sync(reloadAt(100))
    copy.offer(100, 101, [message(101)])
    copy.sync(reloadAt(99))
    expect(copy.position).toEqual({ generation: 1, seq: 101 })
    expect(copy.window.messages.map(({ seq }) => seq)).toEqual([101])
  })
})

describe("another generation", () => {
  it("has values, counts and last message of its own, however small its seqs", () => {
    const copy = replica()
    copy.sync(reloadAt(100))
    copy.offer(100, 101, [message(101)])
    copy.offer(150, 151, [message(151)])
    copy.sync(reloadAt(95, { generation: 2, name: "blue", members: 2, last: message(94) }))
    expect(copy.position).toEqual({ generation: 2, seq: 95 })
    expect(copy.hole).toBe(false)
    expect(copy.settings.values).toMatchObject({ name: "blue", members: 2 })
    expect([copy.unread.unread, copy.unread.stale]).toEqual([5, false])
    expect(copy.last).toMatchObject({ seq: 94 })
  })
})
