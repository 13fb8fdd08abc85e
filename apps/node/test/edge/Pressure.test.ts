/** Too much of something: floods, slow readers, an overloaded node, a node that leaves. */
import { afterEach, describe, expect, it } from "@effect/vitest"
import { closeTable } from "@parley/protocol/CloseCode"
import { clientId, EdgeHarness, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
afterEach(() => harness.stop())

const send = () => ({ channel: "team:a", cid: clientId(), text: "hi" })

describe("rates", () => {
  it("answers rate_limited with the wait, and takes the same id after it", async () => {
    harness = await EdgeHarness.start({ sendsPerSecond: 2 })
    harness.owners.channel("team:a", ["ann"])
    const ann = await harness.join("ann")
    const frames = Array.from({ length: 6 }, send)
    const answers = await Promise.all(frames.map((frame) => ann.request("send", frame)))
    const refused = answers.filter((answer) => answer["error"] !== undefined)
    expect(refused.length).toBe(2)
    const { code, retry_after_ms: waitMs } = refused[0]!["error"]
    expect(code).toBe("rate_limited")
    expect(waitMs).toBeGreaterThan(0)
    expect(waitMs).toBeLessThanOrEqual(500)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    expect((await ann.request("send", frames[4]))["ok"]).toBeDefined()
  })

  it("counts a user's connections together", async () => {
    harness = await EdgeHarness.start({ sendsPerSecond: 1 })
    harness.owners.channel("team:a", ["ann"])
    const clients = [await harness.join("ann", "d1"), await harness.join("ann", "d2"), await harness.join("ann", "d3")]
    const answers = await Promise.all(clients.map((client) => client.request("send", send())))
    expect(answers.filter((answer) => answer["ok"] !== undefined).length).toBe(2)
  })

  it("closes who goes on after many refusals as a flood", async () => {
    harness = await EdgeHarness.start({ framesPerSecond: 10, floodStrikesMax: 5 })
    const ann = await harness.hello("ann")
    for (let i = 0; i < 100; i++) ann.post("ping")
    expect((await ann.whenClosed()).code).toBe(closeTable.flood.code)
  })
})

describe("a client that stops reading", () => {
  it("is closed as a slow consumer, and costs the others nothing", async () => {
    harness = await EdgeHarness.start({ outboundSoftBytes: 20_000, outboundHardBytes: 100_000 })
    harness.owners.channel("team:a", ["ann", "bob"])
    const ann = await harness.join("ann")
    const bob = await harness.join("bob")
    ann.socket.pause()
    let sent = 0
    const text = "x".repeat(16_000)
    while (harness.edge.runtime.connections.size === 2) {
      harness.owners.append("team:a", "message", "x", { text, cid: "" })
      sent++
      await until(() => bob.events("team:a").length === sent)
    }
    expect(harness.edge.connections.closedBy.get("slow_consumer")).toBe(1)
    expect((await bob.request("ping"))["ok"]).toBeDefined()
    ann.socket.resume()
    await ann.whenClosed()
  }, 15_000)

  it("loses ephemeral frames first (EPHEMERAL-IS-EPHEMERAL)", async () => {
    harness = await EdgeHarness.start({ outboundSoftBytes: 20_000, outboundHardBytes: 50_000_000 })
    harness.owners.channel("team:a", ["ann"])
    const ann = await harness.join("ann")
    ann.socket.pause()
    const text = "x".repeat(16_000)
    const typing = `{"ev":"typing","channel":"team:a","user":"bob","on":true,"ttl_ms":6000,"x":"${text}"}`
    let sent = 0
    while (harness.edge.runtime.outbound.ephemeralDropped === 0) {
      harness.owners.append("team:a", "message", "x", { text, cid: "" })
      harness.owners.publish({
        _tag: "Ephemeral",
        topic: "c/team:a",
        frame: typing,
        exceptUser: "bob",
        exceptConnection: 0
      })
      sent++
      await new Promise((resolve) => setImmediate(resolve))
    }
    ann.socket.resume()
    await until(() => ann.events("team:a").length === sent)
    expect(ann.frames.filter((frame) => frame["ev"] === "typing").length).toBeLessThan(sent)
    expect(ann.closed).toBeUndefined()
  }, 15_000)
})

describe("an overloaded node", () => {
  it("refuses changes and new connections, and says when to come again", async () => {
    harness = await EdgeHarness.start({ eventLoopLagMs: 250 })
    harness.owners.channel("team:a", ["ann"])
    const ann = await harness.join("ann")
    const { lag } = harness.edge.runtime
    lag.stop()
    lag.sample(1_000)
    const answer = await ann.request("send", send())
    expect(answer["error"]).toMatchObject({ code: "overloaded", retryable: true, retry_after_ms: 4_000 })
    expect((await ann.request("read", { channel: "team:a", seq: 1 }))["ok"]).toBeDefined()
    expect((await harness.open()).refusedWith).toBe(503)
    for (let i = 0; i < 20; i++) lag.sample(0)
    expect((await ann.request("send", send()))["ok"]).toBeDefined()
  })

  it("takes no more connections than it is told to", async () => {
    harness = await EdgeHarness.start({ connectionsMax: 1 })
    await harness.hello("ann")
    expect((await harness.open()).refusedWith).toBe(503)
  })
})

describe("a node that leaves", () => {
  it("tells its clients to move, spread over the window, then closes them with a delay", async () => {
    harness = await EdgeHarness.start({ drainWindowMs: 200, drainDeadlineMs: 1_000 })
    const clients = [
      await harness.hello("ann"),
      await harness.hello("bob"),
      await harness.hello("cat"),
      await harness.hello("dan")
    ]
    await harness.release()
    const told = clients.map((client) => client.frames.find((frame) => frame["ev"] === "drain")?.["after_ms"])
    expect(told).toEqual([50, 100, 150, 200])
    for (const client of clients) {
      const { code, reason } = await client.whenClosed()
      expect(code).toBe(closeTable.draining.code)
      expect(Number(reason)).toBeGreaterThanOrEqual(0)
    }
  })
  it("tells them as well when an operator wants it empty, goes on answering, and takes clients again when told so", async () => {
    harness = await EdgeHarness.start({ drainWindowMs: 100, drainDeadlineMs: 1_000 })
    const ann = await harness.hello("ann")
    harness.edge.leave()
    harness.edge.leave()
    expect((await ann.pushed((frame) => frame["ev"] === "drain"))["after_ms"]).toBe(100)
    expect((await ann.whenClosed()).code).toBe(closeTable.draining.code)
    await until(() => harness.edge.runtime.connections.size === 0)
    expect((await harness.open()).refusedWith).toBe(503)
    expect((await fetch(`${harness.http}/livez`)).status).toBe(200)
    expect(await (await fetch(`${harness.http}/readyz`)).json()).toMatchObject({ reasons: ["the node is draining"] })
    harness.edge.comeBack()
    const bob = await harness.hello("bob")
    expect(bob.closed).toBeUndefined()
    expect((await fetch(`${harness.http}/readyz`)).status).toBe(200)
  })
})
