import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { shardCount, until, world } from "./World.ts"

const layer = layerRuntime({ shardCount }).pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)

describe("a log at its soft bound", () => {
  it.live("†28 takes what the member fan-out has to log, which holds it until then, and nothing else", () =>
    Effect.gen(function* () {
      const { calls, create, open, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      const channel = "group:one"
      // His notices share a shard, and so a batch, with sends that are refused.
      const shard = calls.shardOf(channel)
      const user = Array.from({ length: 64 }, (_, at) => `u${at}`).find((id) => calls.shardOf(id) === shard) ?? ""
      yield* create("ana", channel, ["ana", user])
      faults.setBounds({ softBytes: 1, hardBytes: 1_000_000 })
      const listed = open(user).pipe(Effect.map((view) => view.channels.length === 1))
      const refusedMeanwhile = Effect.gen(function* () {
        const { failure } = yield* Effect.flip(send("ana", channel, "m"))
        assert.strictEqual(failure.code, "log_full")
        return yield* listed
      })
      yield* until("he is told", refusedMeanwhile)
      const before = faults.records(shard).length
      faults.setBounds({ softBytes: 1_000_000, hardBytes: 2_000_000 })
      yield* until(
        "sends are taken again",
        send("ana", channel, "m").pipe(
          Effect.as(true),
          Effect.catch(() => Effect.succeed(false))
        )
      )
      assert.isAbove(faults.records(shard).length, before)
    }).pipe(Effect.provide(layer))
  )
})
