import { assert, describe, it } from "@effect/vitest"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Deferred, Effect, Layer } from "effect"
import { oneShardRunner, shard } from "./OneShard.ts"

const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("an owner whose shard was taken away", () => {
  it.live("†18 answers nothing that it waited for, though its runner got the shard again meanwhile", () =>
    Effect.gen(function* () {
      const channels = yield* ChannelStore
      const asked = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const slow = ChannelStore.of({
        ...channels,
        load: (...args) =>
          Deferred.succeed(asked, undefined).pipe(
            Effect.andThen(Deferred.await(answer)),
            Effect.andThen(channels.load(...args))
          )
      })
      const runner = yield* oneShardRunner({ channels: slow })
      yield* runner.open(shard, 1)
      const answered = yield* Deferred.make<string>()
      const item = { channel: "group:a", held: null, cursor: { generation: 0, seq: 0 } }
      runner.request(
        shard,
        runner.epochOf(shard),
        { _tag: "Sync", user: "ann", items: [item], eventsMax: 10, bytesMax: 1_000 },
        (reply) => void Deferred.doneUnsafe(answered, Effect.succeed(JSON.stringify(reply))),
        () => void Deferred.doneUnsafe(answered, Effect.succeed("not mine"))
      )
      yield* Deferred.await(asked)
      runner.drop(shard)
      // The lease of the shard holds again, and for whoever looks by the shard alone.
      runner.setLease(shard, Number.POSITIVE_INFINITY)
      yield* runner.open(shard, 2)
      yield* Deferred.succeed(answer, undefined)
      assert.strictEqual(yield* Deferred.await(answered), "not mine")
    }).pipe(Effect.provide(layers))
  )
})
