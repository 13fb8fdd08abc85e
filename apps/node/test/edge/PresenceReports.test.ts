/** Presence reports: one message an interval and shard, whatever happens in it (†6). */
import { describe, expect, it } from "@effect/vitest"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { OwnerReply, PresenceRequest } from "@parley/actors/owner/OwnerProtocol"
import { PresenceReports } from "../../src/edge/PresenceReports.ts"

type Report = Extract<PresenceRequest, { readonly _tag: "Report" }>

const make = () => {
  const sent: Array<Report> = []
  const state = { epoch: 1, reply: { ok: {} } as OwnerReply<unknown> } // a success, until a test says otherwise
  const reports = new PresenceReports({
    edge: "e",
    intervalMs: 1_000,
    epochOf: () => state.epoch,
    calls: OwnerCalls.of({
      shardCount: 1,
      shardOf: () => 1,
      request: (_shard, request, reply) => {
        if (request._tag === "Report") sent.push(request)
        reply(state.reply)
      },
      attach: () => {},
      detach: () => {},
      resend: () => {},
      onServed: () => () => {}
    })
  })
  return { reports, sent, state }
}

describe("presence reports", () => {
  it("tell a storm of devices in one message, everything at first", () => {
    const { reports, sent } = make()
    for (let i = 0; i < 500; i++) reports.came(`u${i}`, "d")
    reports.flush()
    expect(sent.length).toBe(1)
    expect([sent[0]?.full, sent[0]?.devices.length]).toEqual([true, 500])
  })

  it("go out each interval, also without a change, so that silence means the edge is gone", () => {
    const { reports, sent } = make()
    reports.came("ann", "d")
    reports.flush()
    reports.flush()
    expect(sent.length).toBe(2)
  })

  it("say a device is gone with its last connection, and nothing of one that came back within the interval", () => {
    const { reports, sent } = make()
    reports.came("ann", "d")
    reports.came("ann", "d")
    reports.flush()
    reports.went("ann", "d")
    reports.flush()
    expect(sent.at(-1)?.devices.filter((d) => d.state === "gone")).toEqual([])
    reports.went("ann", "d")
    reports.came("ann", "d")
    reports.flush()
    expect(sent.at(-1)?.devices.filter((d) => d.state === "gone")).toEqual([])
    reports.went("ann", "d")
    reports.flush()
    expect(sent.at(-1)?.devices).toEqual([{ user: "ann", device: "d", state: "gone" }])
  })

  it("tell a new owner everything, and after a report that failed", () => {
    const { reports, sent, state } = make()
    reports.came("ann", "d")
    reports.flush()
    state.epoch = 2
    reports.flush()
    expect(sent.at(-1)).toMatchObject({ full: true, devices: [{ user: "ann" }] })
    state.reply = { failure: { code: "moved" } }
    reports.set("ann", "d", "away")
    reports.flush()
    state.reply = { ok: {} }
    reports.flush()
    expect(sent.at(-1)).toMatchObject({ full: true, devices: [{ user: "ann", state: "away" }] })
  })
})
