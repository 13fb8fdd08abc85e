/** Its ack is enough for the connection that caused an event; where the ack does not come, the event does. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import type { OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { OwnEvents, overtookMax, passedMax, unsureMax } from "../../src/edge/OwnEvents.ts"
import type { Event } from "../../src/edge/Topic.ts"
import { clientId, EdgeHarness, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

/** Commits it as the owner would, whatever the answer says. */
const commit = (request: OwnerRequest): void => {
  if (request._tag !== "Mutate" || request.mutation.op !== "send") return
  const { caller, mutation } = request
  harness.owners.append(mutation.channel, "message", caller.user, { text: mutation.text, cid: mutation.cid }, caller)
}

const unavailable = { failure: { code: "unavailable" } } as const

describe("an event whose ack did not come", () => {
  it("is shown to the connection that caused it when it comes after the failure", async () => {
    harness.owners.channel("team:later", ["ann"])
    const ann = await harness.join("ann")
    let asked: OwnerRequest | undefined
    harness.owners.intercept = (request) => {
      if (request._tag !== "Mutate") return undefined
      asked = request
      return unavailable
    }
    await ann.request("send", { channel: "team:later", cid: clientId(), text: "later" })
    harness.owners.intercept = () => undefined
    commit(asked!)
    await until(() => ann.events("team:later").length === 1)
  })

  it("is shown to it at the failure when it came before", async () => {
    harness.owners.channel("team:before", ["ann", "bob"])
    const [ann, bob] = [await harness.join("ann"), await harness.join("bob")]
    harness.owners.intercept = (request) => {
      if (request._tag !== "Mutate") return undefined
      commit(request)
      return unavailable
    }
    harness.owners.holds = (request) => request._tag === "Mutate"
    const sent = ann.post("send", { channel: "team:before", cid: clientId(), text: "before" })
    await until(() => bob.events("team:before").length === 1)
    expect(ann.events("team:before")).toEqual([])
    harness.owners.release()
    harness.owners.intercept = () => undefined
    expect((await ann.answer(sent))["error"].code).toBe("unavailable")
    await until(() => ann.events("team:before").length === 1)
  })

  it("is not shown where the ack came, before or after it", async () => {
    harness.owners.channel("team:acked", ["ann", "bob"])
    const [ann, bob] = [await harness.join("ann"), await harness.join("bob")]
    await ann.request("send", { channel: "team:acked", cid: clientId(), text: "one" })
    harness.owners.holds = (request) => request._tag === "Mutate"
    const sent = ann.post("send", { channel: "team:acked", cid: clientId(), text: "two" })
    await until(() => bob.events("team:acked").length === 2)
    harness.owners.release()
    await ann.answer(sent)
    await ann.request("ping")
    expect(ann.events("team:acked")).toEqual([])
  })
})

describe("own events", () => {
  const event = (seq: number, cid: string): Event => ({
    _tag: "Event",
    topic: "c/group:a",
    from: seq - 1,
    to: seq,
    body: `{"kind":"message","seq":${seq},"cid":"${cid}","text":"\\"cid\\":\\"other\\""}`,
    kind: "message",
    originEdge: "e",
    originConnection: 1,
    members: [],
    readFanout: false
  })

  it("that wait for their acks are bounded: the oldest is shown", () => {
    const own = new OwnEvents()
    const shown: Array<number> = []
    for (let seq = 1; seq <= passedMax + 2; seq++) {
      own.asked()
      expect(own.passes(event(seq, `c${seq}`), () => shown.push(seq))).toBe(true)
    }
    expect(shown).toEqual([1, 2])
    own.acked("group:a", "c3", 3)
    own.failed("c3", true)
    own.failed("c4", true)
    own.failed("c5", false)
    expect(shown).toEqual([1, 2, 4])
  })

  it("whose acks overtook them are not remembered, however long the connection has something under way", () => {
    const own = new OwnEvents()
    const shown: Array<number> = []
    own.asked()
    for (let seq = 1; seq <= 2 * passedMax; seq++) {
      own.asked()
      own.acked("group:a", `c${seq}`, seq)
      expect(own.passes(event(seq, `c${seq}`), () => shown.push(seq))).toBe(true)
    }
    expect(shown).toEqual([])
    // Of those that never pass the oldest are forgotten.
    for (let seq = 1; seq <= overtookMax + 1; seq++) {
      own.asked()
      own.acked("group:b", `d${seq}`, seq)
    }
    own.passes({ ...event(1, "d1"), topic: "c/group:b" }, () => shown.push(1))
    own.passes({ ...event(2, "d2"), topic: "c/group:b" }, () => shown.push(2))
    own.failed("d1", true)
    own.failed("d2", true)
    expect(shown).toEqual([1])
  })

  it("of which nobody knows how they ended are bounded: then all are shown", () => {
    const own = new OwnEvents()
    for (let i = 0; i < unsureMax; i++) {
      own.asked()
      own.failed(`c${i}`, true)
    }
    expect(own.passes(event(1, "other"), () => {})).toBe(true)
    expect(own.passes(event(2, "c1"), () => {})).toBe(false)
    own.asked()
    own.failed("one more", true)
    expect(own.passes(event(3, "other"), () => {})).toBe(false)
    expect(own.idle).toBe(false)
  })

  it("leave nothing behind once all are acknowledged", () => {
    const own = new OwnEvents()
    own.asked()
    own.asked()
    own.failed("c1", true)
    own.acked("group:a", "c2", 2)
    expect(own.idle).toBe(false)
    own.asked()
    own.acked("group:a", "c1", 1)
    expect(own.idle).toBe(true)
  })
})
