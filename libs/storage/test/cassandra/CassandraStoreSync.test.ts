/** `sync` over Cassandra: not before its nodes have synced by themselves, and cheap for many. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { layerCassandra } from "../../src/cassandra/CassandraStoreSync.ts"
import { StoreSync } from "../../src/StoreSync.ts"

const sync = StoreSync.use((it) => it.sync)

describe("StoreSync over Cassandra", () => {
  it.effect("WRITE-BEHIND-SAFE: a sync ends when the longest time that a node may take is over, for all who wait", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 1_000 }, () => sync),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(14_999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting)
    }).pipe(Effect.provide(layerCassandra()))
  )

  it.effect("the period is the nodes' own; who syncs before he answers is not waited for", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(Effect.provide(sync, layerCassandra({ syncPeriodMs: 200 })))
      yield* TestClock.adjust(299)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting)
      yield* Effect.provide(sync, layerCassandra({ syncPeriodMs: 0 }))
    })
  )
})
