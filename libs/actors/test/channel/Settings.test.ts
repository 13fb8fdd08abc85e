import { describe, expect, it } from "vitest"
import { channelLimitsDefault, ChannelState, followUp, replay } from "../../src/channel/ChannelState.ts"
import { Harness, run, tightLimits } from "./ChannelHarness.ts"

describe("settings", () => {
  it("are set by an owner, each on its own", () => {
    const harness = run("group:room", tightLimits, [])
    harness.must("ann", { op: "update", topic: "chess" })
    expect(harness.state).toMatchObject({ name: "Room", topic: "chess" })
    harness.must("ann", { op: "update", name: "Club" })
    expect(harness.state).toMatchObject({ name: "Club", topic: "chess" })
    expect(harness.refusal("ann", { op: "update" })).toBe("invalid")
  })

  it("switch to read fan-out above the threshold and back only well below it", () => {
    const harness = new Harness("public:room", { ...channelLimitsDefault, fanoutThreshold: 5, fanoutHysteresis: 2 })
    harness.must("ann", { op: "create", name: "", topic: "", members: [] })
    const kinds = () => harness.log.map((entry) => entry.kind).filter((kind) => kind === "fanout").length
    for (const user of ["b", "c", "d", "e"]) harness.must(user, { op: "join" })
    expect([harness.state.memberCount, harness.state.fanout, kinds()]).toEqual([5, "write", 0])
    harness.must("f", { op: "join" })
    expect([harness.state.memberCount, harness.state.fanout, kinds()]).toEqual([6, "read", 1])
    for (const user of ["f", "e", "d"]) harness.must(user, { op: "leave" })
    expect([harness.state.memberCount, harness.state.fanout, kinds()]).toEqual([3, "read", 1])
    harness.must("c", { op: "leave" })
    expect([harness.state.memberCount, harness.state.fanout, kinds()]).toEqual([2, "write", 2])
    expect(harness.log.at(-1)).toMatchObject({ kind: "fanout", by: "c", cid: "", bodyHash: "" })
  })

  it("of a channel created above the threshold are read fan-out from the start", () => {
    const harness = new Harness("group:room", tightLimits)
    harness.must("ann", { op: "create", name: "", topic: "", members: ["b", "c", "d", "e"] })
    expect(harness.state.fanout).toBe("read")
    expect(harness.log).toHaveLength(1)
  })

  it("are caught up after a takeover that lost the switch", () => {
    const harness = new Harness("group:room", tightLimits)
    harness.must("ann", { op: "create", name: "", topic: "", members: ["b", "c", "d"] })
    harness.must("ann", { op: "add_members", members: ["e"] })
    const again = ChannelState.empty("group:room", tightLimits)
    for (const entry of harness.log.slice(0, 2)) replay(again, entry)
    expect(followUp(again, harness.now)).toMatchObject({ seq: 3, kind: "fanout", by: "ann" })
    expect(followUp(harness.state, harness.now)).toBeUndefined()
  })
})
