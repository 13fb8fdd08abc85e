/** What a channel's head shows to whom. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { ChannelSync } from "@parley/protocol/Frame"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { layerMemoryWorld, newId, shardCount, untilCold, world } from "./World.ts"

const headOf = Effect.fnUntraced(function* (user: string, channel: string) {
  const { sync } = yield* world
  const result = yield* sync(user, channel, null)
  if (result?._tag !== "Sync") return assert.fail(`${user} gets no sync of ${channel}`)
  // The protocol's ChannelSync, as the owner encodes it.
  return (JSON.parse(result.sync) as ChannelSync).head
})

describe("a channel's head", () => {
  it.live("†15 REVOKED-IS-OUT: does not show who comes, or comes back, the last message of the time before", () =>
    Effect.gen(function* () {
      const { create, mutate, send } = yield* world
      const channel = "group:one"
      const members = (op: "add_members" | "remove_members", user: string) =>
        mutate("ana", { op, channel, cid: newId(), members: [user] })
      yield* create("ana", channel, ["ben"])
      yield* send("ana", channel, "to ben")
      assert.strictEqual((yield* headOf("ben", channel)).last?.text, "to ben")
      yield* members("remove_members", "ben")
      yield* send("ana", channel, "not to ben")
      yield* members("add_members", "ben")
      yield* members("add_members", "cleo")
      for (const user of ["ben", "cleo"]) assert.strictEqual((yield* headOf(user, channel)).last, null)
      assert.strictEqual((yield* headOf("ana", channel)).last?.text, "not to ben")
      yield* send("ana", channel, "to all")
      for (const user of ["ben", "cleo"]) assert.strictEqual((yield* headOf(user, channel)).last?.text, "to all")
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live(
    "NO-GAP-SYNC: has a device begin anew whose user was out meanwhile, but for a channel that opens to him",
    () =>
      Effect.gen(function* () {
        const { create, mutate, send, sync } = yield* world
        const returns = Effect.fnUntraced(function* (channel: string) {
          yield* create("ana", channel, ["ben", "cleo"])
          const held = yield* send("ana", channel, "held")
          // He is away from here on.
          yield* send("ana", channel, "the rest of his stay")
          yield* mutate("ana", { op: "remove_members", channel, cid: newId(), members: ["ben"] })
          yield* mutate("ana", { op: "delete", channel, cid: newId(), target: held.seq })
          yield* mutate("ana", { op: "add_members", channel, cid: newId(), members: ["ben"] })
          yield* send("ana", channel, "after")
          const resume = Effect.fnUntraced(function* (user: string, seq: number) {
            const result = yield* sync(user, channel, { generation: 1, seq })
            if (result?._tag !== "Sync") return assert.fail(`${user} gets no sync`)
            // The protocol's ChannelSync, as the owner encodes it.
            const { events, from, reload, to } = JSON.parse(result.sync) as ChannelSync
            return { events: events.map(({ seq }) => seq), from, reload, to }
          })
          return {
            before: yield* resume("ben", held.seq),
            since: yield* resume("ben", 6),
            other: yield* resume("cleo", held.seq)
          }
        })
        const all = { events: [3, 4, 5, 6, 7], from: 2, reload: false, to: 7 }
        const since = { events: [7], from: 6, reload: false, to: 7 }
        assert.deepStrictEqual(yield* returns("group:one"), {
          before: { events: [], from: 7, reload: true, to: 7 },
          since,
          other: all
        })
        assert.deepStrictEqual(yield* returns("public:lobby"), { before: all, since, other: all })
      }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("shows the last message of a cold channel in which much but nothing more was said since", () =>
    Effect.gen(function* () {
      const { create, mutate, send } = yield* world
      const channel = "group:one"
      yield* create("ana", channel, ["ben"])
      const { seq } = yield* send("ana", channel, "first")
      const rename = (name: string) => mutate("ana", { op: "update", channel, cid: newId(), name })
      // More than a channel that comes from the store has in its tail.
      for (let at = 0; at < 60; at++) yield* rename(`name ${at}`)
      yield* untilCold(channel)
      assert.deepInclude((yield* headOf("ben", channel)).last, { seq, text: "first" })
      yield* mutate("ana", { op: "edit", channel, cid: newId(), target: seq, text: "edited", mentions: [] })
      for (let at = 0; at < 60; at++) yield* rename(`name ${at}`)
      yield* untilCold(channel)
      assert.deepInclude((yield* headOf("ben", channel)).last, { seq, text: "edited" })
      yield* untilCold(channel)
      // A send wakes it with less of it than that.
      yield* send("ana", channel, "second")
      assert.strictEqual((yield* headOf("ben", channel)).last?.text, "second")
    }).pipe(
      Effect.provide(
        layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )

  it.live("shows who joins a public channel again what was said in between", () =>
    Effect.gen(function* () {
      const { create, mutate, send } = yield* world
      const channel = "public:lobby"
      yield* create("ana", channel, ["ben"])
      yield* mutate("ben", { op: "leave", channel, cid: newId() })
      yield* send("ana", channel, "to whoever comes back")
      yield* mutate("ben", { op: "join", channel, cid: newId() })
      assert.strictEqual((yield* headOf("ben", channel)).last?.text, "to whoever comes back")
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})
