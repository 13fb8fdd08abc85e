/** A runner whose store is away when it opens a shard, with nobody to consume its log and tell it what is parked. */
import { assert, describe, it } from "@effect/vitest"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Effect, Layer } from "effect"
import { oneShardRunner, shard } from "./OneShard.ts"

const one = { shard, topic: "channel", id: "group:parked", count: 2 } as const

describe("what is parked of a shard", () => {
  it.live("†26 is asked for at each tick until the store answers, and till then anything may be", () =>
    Effect.gen(function* () {
      const store = yield* ParkedEvents
      let asked = 0
      let away = true
      const runner = yield* oneShardRunner({
        parked: ParkedEvents.of({
          ...store,
          entities: () =>
            Effect.suspend(() => {
              asked++
              return away
                ? Effect.fail(new StoreUnavailable({ store: "test", cause: "away" }))
                : Effect.succeed([one, { ...one, shard: 2, id: "group:elsewhere" }])
            })
        })
      })
      yield* runner.open(shard, 1)
      const parked = runner.owner(shard)?.parked
      assert.isTrue(parked?.has("channel", "group:other"))
      assert.strictEqual(asked, 1)
      away = false
      const known = () => runner.owner(shard)?.parked.known === true
      for (let tries = 0; !known() && tries < 1_000; tries++) {
        runner.tick()
        yield* Effect.sleep(1)
      }
      assert.strictEqual(asked, 2)
      assert.isTrue(parked?.known)
      assert.isTrue(parked?.has("channel", "group:parked"))
      assert.isFalse(parked?.has("channel", "group:other"))
      assert.isFalse(parked?.has("channel", "group:elsewhere"))
      runner.tick()
      assert.strictEqual(asked, 2)
    }).pipe(Effect.provide(Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)))
  )
})
