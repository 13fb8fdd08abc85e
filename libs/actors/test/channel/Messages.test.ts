import { describe, expect, it } from "vitest"
import { decide } from "../../src/channel/ChannelState.ts"
import { caller, Harness, run, tightLimits } from "./ChannelHarness.ts"

const room = (): Harness => run("group:room", tightLimits, [])
const send = (harness: Harness, user: string, text = "hi", mentions: ReadonlyArray<string> = []) =>
  harness.must(user, { op: "send", text, mentions })

describe("messages", () => {
  it("are the members' only: to others the channel is the same as none", () => {
    const harness = room()
    const { seq } = send(harness, "ann")
    const none = new Harness("group:none", tightLimits)
    for (const fields of [
      { op: "send", text: "hi", mentions: [] },
      { op: "edit", target: seq, text: "x", mentions: [] },
      { op: "edit", target: 99, text: "x", mentions: [] },
      { op: "delete", target: seq },
      { op: "update", name: "x" },
      { op: "join" },
      { op: "leave" },
      { op: "add_members", members: ["zoe"] },
      { op: "remove_members", members: ["ann"] }
    ] as const) {
      const answer = harness.resolve("zoe", harness.mutation(fields))
      expect(answer).toEqual({ _tag: "Reject", failure: { code: "not_found" } })
      expect(none.resolve("zoe", none.mutation(fields))).toEqual(answer)
    }
  })

  it("name members only, and say who is none", () => {
    const harness = room()
    const answer = harness.resolve("ann", harness.mutation({ op: "send", text: "hi", mentions: ["ben", "zoe", "yan"] }))
    expect(answer).toMatchObject({ failure: { code: "invalid", detail: "mentions who are no members: zoe, yan" } })
    const { seq } = send(harness, "ann", "hi", ["ben"])
    expect(harness.refusal("ann", { op: "edit", target: seq, text: "x", mentions: ["zoe"] })).toBe("invalid")
  })

  it("are edited by their author only", () => {
    const harness = room()
    const { seq } = send(harness, "ben")
    expect(harness.refusal("ann", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("forbidden")
    expect(harness.refusal("cat", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("forbidden")
    harness.must("ben", { op: "edit", target: seq, text: "better", mentions: ["cat"] })
    expect(JSON.parse(harness.state.lastMessage() ?? "")).toMatchObject({
      seq,
      text: "better",
      mentions: ["cat"],
      edited: seq + 1,
      n: 1
    })
  })

  it("are deleted by their author and by an owner", () => {
    const harness = room()
    const [first, second] = [send(harness, "ben"), send(harness, "ben")]
    expect(harness.refusal("cat", { op: "delete", target: first.seq })).toBe("forbidden")
    expect(harness.must("ben", { op: "delete", target: first.seq }).hidden).not.toContain("author")
    expect(JSON.parse(harness.must("ann", { op: "delete", target: second.seq }).hidden)).toMatchObject({
      author: "ben"
    })
    expect(harness.refusal("ann", { op: "delete", target: second.seq })).toBe("conflict")
    expect(harness.refusal("ben", { op: "edit", target: first.seq, text: "x", mentions: [] })).toBe("conflict")
  })

  it("are the only things that can be edited or deleted", () => {
    const harness = room()
    for (const target of [0, 1, 2, 99]) {
      expect(harness.refusal("ann", { op: "edit", target, text: "x", mentions: [] })).toBe("not_found")
      expect(harness.refusal("ann", { op: "delete", target })).toBe("not_found")
    }
  })

  it("older than the tail are asked for, and what the tail did to them counts", () => {
    const harness = room()
    const [old, gone] = [send(harness, "ben"), send(harness, "ben")]
    for (let sent = 0; sent < 8; sent++) send(harness, "ann")
    harness.setFloor(harness.state.seq)
    harness.now += 1
    expect(harness.state.tailFrom).toBeGreaterThan(gone.seq)
    const edit = harness.mutation({ op: "edit", target: old.seq, text: "x", mentions: [] })
    const need = decide(harness.state, caller("ben"), false, edit, harness.now, {})
    expect(need).toEqual({ _tag: "Need", need: { target: old.seq }, floor: harness.state.floor })
    const stale = harness.store().answer({ target: gone.seq }, harness.state.floor)
    harness.must("ben", { op: "delete", target: gone.seq })
    const late = harness.mutation({ op: "edit", target: gone.seq, text: "x", mentions: [] })
    expect(decide(harness.state, caller("ben"), false, late, harness.now, stale)).toMatchObject({
      failure: { code: "conflict" }
    })
    expect(harness.resolve("ben", edit)._tag).toBe("Accept")
    expect(harness.refusal("cat", { op: "edit", target: old.seq, text: "x", mentions: [] })).toBe("forbidden")
  })

  it("older than the tail can't be changed while their delete is under way", () => {
    const harness = room()
    const { seq } = send(harness, "ben")
    for (let sent = 0; sent < 8; sent++) send(harness, "ann")
    harness.setFloor(harness.state.seq)
    harness.do("ben", harness.mutation({ op: "delete", target: seq }))
    expect(harness.refusal("ben", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("conflict")
    harness.undo(1)
    expect(harness.refusal("ben", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("Accept")
  })

  it("are changed and sent by a server in a user's name without being in, and it shows in the private part", () => {
    const harness = room()
    const { seq } = send(harness, "ben")
    const entry = harness.must("bot", { op: "send", text: "from a server", mentions: [] }, true)
    expect(entry.by).toBe("bot")
    expect(JSON.parse(entry.hidden)).toEqual({ device: "bot-phone", admin: true })
    harness.must("bot", { op: "edit", target: seq, text: "x", mentions: [] }, true)
    harness.must("bot", { op: "delete", target: seq }, true)
  })
})
