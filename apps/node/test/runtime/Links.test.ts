import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LocalBus, type LinkFault } from "@parley/actors/fanout/LocalBus"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { WebSocket } from "ws"
import { Authentication } from "../../src/edge/Authentication.ts"
import { Edge, Listening } from "../../src/edge/Edge.ts"
import { NodeConfig } from "../../src/NodeConfig.ts"
import { layerLocalWorld, newId, until } from "./World.ts"

const layerSystem = Edge.layer.pipe(
  Layer.provideMerge(Authentication.layer),
  Layer.provideMerge(layerLocalWorld),
  Layer.provide(
    NodeConfig.layerTest({
      data: mkdtempSync(join(tmpdir(), "parley-links-")),
      drainWindowMs: 0,
      drainDeadlineMs: 100,
      sendsPerSecond: 100_000,
      mutationsPerSecond: 100_000,
      readsPerSecond: 100_000,
      framesPerSecond: 100_000
    })
  )
)

interface Frame {
  readonly re?: number
  readonly ok?: Record<string, unknown>
  readonly error?: { readonly code: string }
  readonly ev?: string
  readonly channel?: string
  readonly from?: number
  readonly to?: number
  readonly event?: { readonly seq: number; readonly kind: string }
}

/** A user on a plain socket. */
const user = (name: string) =>
  Effect.gen(function* () {
    const { port } = yield* Listening
    const authentication = yield* Authentication
    const { token } = yield* authentication.mint!(name, 3_600)
    const frames: Array<Frame> = []
    const socket = yield* Effect.acquireRelease(
      Effect.callback<WebSocket>((resume) => {
        const made = new WebSocket(`ws://127.0.0.1:${port}/v1/socket`, "parley.v1.json")
        made.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame)) // frames of our own server
        made.once("open", () => resume(Effect.succeed(made)))
      }),
      (made) => Effect.sync(() => made.terminate())
    )
    let next = 1
    const ask = (op: string, fields: Record<string, unknown>) =>
      Effect.gen(function* () {
        const id = next++
        socket.send(JSON.stringify({ id, op, ...fields }))
        yield* until(
          `${name}'s ${op} is answered`,
          Effect.sync(() => frames.some((frame) => frame.re === id))
        )
        const answer = frames.find((frame) => frame.re === id)
        if (answer?.ok === undefined) return yield* Effect.die(new Error(`${op}: ${JSON.stringify(answer)}`))
        return answer.ok
      })
    yield* ask("hello", { token, device: "d1" })
    const shown = (channel: string) =>
      frames.flatMap((frame) => (frame.ev === "event" && frame.channel === channel ? [frame.event!.seq] : []))
    return { ask, frames, shown, socket }
  })

const listed = (
  who: { readonly ask: (op: string, fields: Record<string, unknown>) => Effect.Effect<Record<string, unknown>> },
  channel: string
) =>
  until(
    "the channel is listed",
    who
      .ask("sync", { channels: [], session: { generation: 0, seq: 0 } })
      .pipe(Effect.map((answer) => JSON.stringify(answer).includes(`"channel":"${channel}"`)))
  )

describe("†9 links that lose, repeat and delay", () => {
  for (const fate of ["lose", "twice", "late"] satisfies ReadonlyArray<LinkFault>) {
    it.live(
      `every event is shown once and in order when link messages are now and then: ${fate}`,
      () =>
        Effect.gen(function* () {
          const ana = yield* user("ana")
          const ben = yield* user("ben")
          yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
          yield* listed(ana, "group:one")
          yield* listed(ben, "group:one")
          const bus = yield* LocalBus
          let turn = 0
          bus.setLinkFault((message) => (message.items.length > 0 && ++turn % 3 === 0 ? fate : "deliver"))
          const count = 60
          const acks: Array<number> = []
          for (let i = 0; i < count; i++) {
            const ack = yield* ana.ask("send", { cid: newId(), channel: "group:one", text: `m${i}` })
            acks.push(Number(ack["seq"]))
          }
          yield* until(
            "ben has them all",
            Effect.sync(() => ben.shown("group:one").includes(acks.at(-1) ?? 0))
          )
          const shown = ben.shown("group:one").filter((seq) => seq > 1)
          assert.deepStrictEqual(shown, acks)
        }).pipe(Effect.scoped, Effect.provide(layerSystem)),
      30_000
    )
  }

  it.live(
    "a lost last message comes with the next heartbeat, without further traffic",
    () =>
      Effect.gen(function* () {
        const ana = yield* user("ana")
        const ben = yield* user("ben")
        yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
        yield* listed(ben, "group:one")
        const bus = yield* LocalBus
        bus.setLinkFault((message) => (message.items.length > 0 ? "lose" : "deliver"))
        yield* ana.ask("send", { cid: newId(), channel: "group:one", text: "the last one" })
        bus.setLinkFault(undefined)
        yield* until(
          "ben has it",
          Effect.sync(() => ben.shown("group:one").includes(2))
        )
      }).pipe(Effect.scoped, Effect.provide(layerSystem)),
    30_000
  )

  it.live(
    "an owner that moves silently is noticed, and nothing is missed",
    () =>
      Effect.gen(function* () {
        const ana = yield* user("ana")
        const ben = yield* user("ben")
        yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
        yield* listed(ana, "group:one")
        yield* listed(ben, "group:one")
        const { runner } = yield* LocalRunnerService
        const { runtime } = yield* Edge
        const shard = runtime.calls.shardOf("group:one")
        // The shard is lost and taken again under another epoch: interest is gone with it.
        const before = runner.owner(shard)?.epoch ?? 0
        runner.drop(shard)
        runner.setLease(shard, performance.now() + 60_000)
        yield* runner.open(shard, 0)
        assert.isAbove(runner.owner(shard)?.epoch ?? 0, before)
        for (let i = 0; i < 5; i++) yield* ana.ask("send", { cid: newId(), channel: "group:one", text: `m${i}` })
        yield* until(
          "ben has them all",
          Effect.sync(() => ben.shown("group:one").includes(6))
        )
        assert.deepStrictEqual(
          ben.shown("group:one").filter((seq) => seq > 1),
          [2, 3, 4, 5, 6]
        )
      }).pipe(Effect.scoped, Effect.provide(layerSystem)),
    30_000
  )
})

describe("REVOKED-IS-OUT", () => {
  it.live(
    "after a removal at r nothing above r reaches the one who was removed, live or by sync",
    () =>
      Effect.gen(function* () {
        const ana = yield* user("ana")
        const ben = yield* user("ben")
        yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
        yield* listed(ana, "group:one")
        yield* listed(ben, "group:one")
        yield* ana.ask("send", { cid: newId(), channel: "group:one", text: "before" })
        const removed = yield* ana.ask("remove_members", { cid: newId(), channel: "group:one", members: ["ben"] })
        const last = yield* ana.ask("send", { cid: newId(), channel: "group:one", text: "after" })
        assert.isAbove(Number(last["seq"]), Number(removed["seq"]))
        yield* until(
          "ben is told of the removal",
          Effect.sync(() => ben.shown("group:one").includes(Number(removed["seq"])))
        )
        const lost = yield* ben.ask("sync", { channels: [["group:one", 1, 1]], session: { generation: 0, seq: 0 } })
        assert.strictEqual(JSON.stringify(lost).includes('"after"'), false)
        assert.deepStrictEqual(lost["lost"], [{ channel: "group:one", seq: removed["seq"] }])
        assert.strictEqual(
          ben.shown("group:one").some((seq) => seq > Number(removed["seq"])),
          false
        )
      }).pipe(Effect.scoped, Effect.provide(layerSystem)),
    30_000
  )
})

describe("receipts in a small channel", () => {
  it.live(
    "what one reads is shown to the others, and is in the next sync's head",
    () =>
      Effect.gen(function* () {
        const ana = yield* user("ana")
        const ben = yield* user("ben")
        yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
        yield* listed(ana, "group:one")
        yield* listed(ben, "group:one")
        const sent = yield* ana.ask("send", { cid: newId(), channel: "group:one", text: "read me" })
        yield* ben.ask("delivered", { channel: "group:one", seq: sent["seq"] })
        yield* ben.ask("read", { channel: "group:one", seq: sent["seq"] })
        const receipts = () =>
          ana.frames.filter((frame) => frame.ev === "receipt").map((frame) => JSON.stringify(frame))
        yield* until(
          "ana sees it",
          Effect.sync(() => receipts().some((text) => text.includes('"read":2')))
        )
        assert.strictEqual(
          ben.frames.some((frame) => frame.ev === "receipt"),
          false
        )
        const synced = yield* ana.ask("sync", { channels: [], session: { generation: 0, seq: 0 } })
        assert.include(JSON.stringify(synced), '"receipts":[{"user":"ben","delivered":2,"read":2}]')
      }).pipe(Effect.scoped, Effect.provide(layerSystem)),
    30_000
  )
})

describe("typing", () => {
  it.live(
    "is shown to the others, and again at once after the message that ended it",
    () =>
      Effect.gen(function* () {
        const ana = yield* user("ana")
        const ben = yield* user("ben")
        yield* ana.ask("create", { cid: newId(), channel: "group:one", name: "one", members: ["ben"] })
        yield* listed(ana, "group:one")
        yield* listed(ben, "group:one")
        yield* ana.ask("watch", { channel: "group:one" })
        const signs = () => ana.frames.filter((frame) => frame.ev === "typing").length
        yield* ben.ask("typing", { channel: "group:one", on: true })
        yield* until(
          "ana sees it",
          Effect.sync(() => signs() === 1)
        )
        yield* ben.ask("send", { cid: newId(), channel: "group:one", text: "there" })
        yield* ben.ask("typing", { channel: "group:one", on: true })
        yield* until(
          "ana sees it again",
          Effect.sync(() => signs() === 2)
        )
        assert.strictEqual(
          ben.frames.some((frame) => frame.ev === "typing"),
          false
        )
      }).pipe(Effect.scoped, Effect.provide(layerSystem)),
    30_000
  )
})
