/** An owner that is killed takes the newest read marks along; the edge that they came through has them still (†5). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@effect/vitest"
import type { OwnerReply, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { keptMs, marksMax, offeredAtOnceMax, offeredMsMax, ReadMarks } from "../../src/edge/ReadMarks.ts"
import { clientId, EdgeHarness, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

const cursorOf = (user: string, channel: string) => harness.owners.session(user).cursors.get(channel)

/** The owner is killed before it has stored them: the next one starts with what was there before. */
const lose = (user: string, channel: string, before?: { generation: number; seq: number }): void => {
  const { cursors } = harness.owners.session(user)
  if (before === undefined) cursors.delete(channel)
  else cursors.set(channel, before)
  harness.owners.epoch++
  harness.owners.heartbeat()
}

const talk = async (channel: string, user: string) => {
  harness.owners.channel(channel, [user])
  for (let i = 0; i < 3; i++) harness.owners.append(channel, "message", "system", { text: "hello", cid: clientId() })
  return harness.join(user)
}

describe("read marks of an owner that was killed", () => {
  it("are offered to the next one, and every device hears of them (†5)", async () => {
    const ann = await talk("team:lost", "ann")
    await ann.request("read", { channel: "team:lost", seq: 3 })
    lose("ann", "team:lost")
    await until(() => cursorOf("ann", "team:lost")?.seq === 3)
    const push = await ann.pushed((frame) => frame["ev"] === "cursor" && frame["channel"] === "team:lost")
    expect(push).toMatchObject({ cursor: { generation: 0, seq: 3 }, unread: 1, mentions: 0, head: 4 })
  })

  it("are those that a send's “seen” moved, too (†13)", async () => {
    const bob = await talk("team:seen", "bob")
    await bob.request("send", { channel: "team:seen", cid: clientId(), text: "quick", seen: 4 })
    await until(() => cursorOf("bob", "team:seen")?.seq === 4)
    lose("bob", "team:seen")
    await until(() => cursorOf("bob", "team:seen")?.seq === 4)
  })

  it("do not undo a “mark unread” that came after them (†5)", async () => {
    const cat = await talk("team:back", "cat")
    await cat.request("read", { channel: "team:back", seq: 3 })
    const other = await talk("team:other", "cat")
    await other.request("read", { channel: "team:other", seq: 2 })
    lose("cat", "team:other")
    // The next owner knows of the mark, which is logged.
    harness.owners.session("cat").cursors.set("team:back", { generation: 9, seq: 1 })
    await until(() => cursorOf("cat", "team:other")?.seq === 2)
    const offers = () =>
      harness.owners.requests.filter((r) => r._tag === "MoveCursor" && r.channel === "team:back" && r.generation === 0)
    await until(() => offers().length > 0)
    expect(cursorOf("cat", "team:back")).toEqual({ generation: 9, seq: 1 })
  })
})

describe("kept marks", () => {
  let time = 0
  afterEach(() => {
    time = 0
  })
  const kept = () => {
    const waiting: Array<() => void> = []
    const state: { failure: ((channel: string) => "unavailable" | "not_found") | undefined } = { failure: undefined }
    const offered: Array<OwnerRequest> = []
    const request = (_shard: number, asked: OwnerRequest, reply: (reply: OwnerReply<unknown>) => void): void => {
      if (asked._tag === "Unread") {
        return void waiting.push(() => {
          const code = state.failure?.(asked.channel)
          if (code === undefined) reply({ ok: { unread: 0, mentions: 0, head: asked.cursor.seq } })
          else reply({ failure: { code } })
        })
      }
      offered.push(asked)
      reply({ ok: {} })
    }
    const calls = {
      shardCount: 2,
      shardOf: (id: string) => (id < "n" ? 1 : 2),
      request,
      attach,
      detach,
      resend,
      onServed
    }
    const marks = new ReadMarks({ edge: "e", calls, now: () => time })
    return { marks, offered, state, waiting }
  }
  const [attach, detach, resend, onServed] = [() => {}, () => {}, () => {}, () => () => {}]

  it("are of the shard that moved, the newest of each channel, and not older than they are kept", () => {
    const { marks, offered, waiting } = kept()
    marks.taken("ann", "team:old", { generation: 0, seq: 1 })
    time = keptMs / 2
    marks.taken("ann", "team:a", { generation: 2, seq: 5 })
    marks.taken("ann", "team:a", { generation: 1, seq: 9 })
    marks.taken("zoe", "team:a", { generation: 0, seq: 7 })
    time = keptMs + 1
    marks.moved(1)
    for (const answer of waiting) answer()
    expect(offered).toMatchObject([{ _tag: "MoveCursor", channel: "team:a", seq: 5, generation: 2 }])
    expect(marks.size).toBe(2)
  })

  it("are offered again at each sweep while nobody can count or take them, and no longer when it is never", () => {
    const { marks, offered, state, waiting } = kept()
    marks.taken("ann", "team:away", { generation: 0, seq: 4 })
    marks.taken("ann", "team:left", { generation: 0, seq: 5 })
    state.failure = (channel) => (channel === "team:away" ? "unavailable" : "not_found")
    marks.moved(1)
    for (const answer of waiting.splice(0)) answer()
    expect(waiting.length).toBe(0)
    // Much longer than a mark is kept that nobody has lost.
    time = keptMs * 2
    marks.sweep()
    expect(waiting.length).toBe(1)
    for (const answer of waiting.splice(0)) answer()
    state.failure = undefined
    marks.sweep()
    for (const answer of waiting.splice(0)) answer()
    expect(offered).toMatchObject([{ _tag: "MoveCursor", channel: "team:away", seq: 4 }])
    marks.sweep()
    expect(waiting.length).toBe(0)
    // Not for ever.
    marks.taken("ann", "team:away", { generation: 0, seq: 6 })
    state.failure = () => "unavailable"
    marks.moved(1)
    for (const answer of waiting.splice(0)) answer()
    time += offeredMsMax + 1
    marks.sweep()
    expect(waiting.length).toBe(0)
  })

  it("are bounded, and so is what is offered at once", () => {
    const { marks, offered, waiting } = kept()
    for (let i = 0; i <= marksMax; i++) marks.taken("ann", `team:${i}`, { generation: 0, seq: 1 })
    expect(marks.size).toBe(marksMax)
    marks.moved(1)
    marks.moved(1)
    expect(waiting.length).toBe(offeredAtOnceMax)
    for (const answer of waiting) answer()
    // The second owner is offered again what was under way to the first.
    expect(offered.length).toBe(marksMax + offeredAtOnceMax)
  })
})
