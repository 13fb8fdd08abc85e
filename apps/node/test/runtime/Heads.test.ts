/** What a channel's head shows to whom. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ChannelSync } from "@parley/protocol/Frame"
import { layerMemoryWorld, newId, world } from "./World.ts"

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
