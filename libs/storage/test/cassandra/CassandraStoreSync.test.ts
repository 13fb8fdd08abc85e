/** `sync` over Cassandra: not before its nodes have synced by themselves, never where one forgot, and cheap for many. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Cassandra, type NodeStarts } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra, type StoreSyncOptions } from "../../src/cassandra/CassandraStoreSync.ts"
import { unavailable } from "../../src/cassandra/CassandraClient.ts"
import { StoreSync } from "../../src/StoreSync.ts"

const sync = StoreSync.use((it) => it.sync)

/** Three nodes, by what they say; undefined instead of all: Cassandra is away. */
const world = (options?: StoreSyncOptions) => {
  const state = {
    starts: new Map<string, number | undefined>([
      ["a", 1],
      ["b", 1],
      ["c", 1]
    ]),
    away: false,
    looks: 0
  }
  const cassandra = Cassandra.of({
    read: () => Effect.succeed([]),
    write: () => Effect.void,
    writeAll: () => Effect.void,
    starts: Effect.suspend(() => {
      state.looks++
      return state.away
        ? Effect.fail(unavailable(new Error("away")))
        : Effect.succeed<NodeStarts>(new Map(state.starts))
    })
  })
  return { state, layer: Layer.provide(layerCassandra(options), Layer.succeed(Cassandra, cassandra)) }
}

/** How a sync that begins now ends, when `meanwhile` has happened so long after its beginning. */
const syncing = (afterMs: number, meanwhile: () => void) =>
  Effect.gen(function* () {
    const waiting = yield* Effect.forkChild(sync)
    yield* TestClock.adjust(afterMs)
    meanwhile()
    yield* TestClock.adjust(30_000)
    return Exit.isSuccess(yield* Fiber.await(waiting))
  })

const quiet = TestClock.adjust(60_000)

describe("StoreSync over Cassandra", () => {
  it.effect(
    "WRITE-BEHIND-SAFE: a sync ends when the longest time that a node may take is over, for all who wait",
    () => {
      const { layer, state } = world()
      return Effect.gen(function* () {
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
        assert.isAtMost(state.looks, 17)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("a wall clock that is set back meanwhile puts nothing off", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let backMs = 0
      const wall = Effect.map(clock.currentTimeMillis, (now) => now - backMs)
      const waiting = yield* Effect.forkChild(
        Effect.provideService(sync, Clock.Clock, { ...clock, currentTimeMillis: wall })
      )
      yield* TestClock.adjust(5_000)
      backMs = 3_600_000
      yield* TestClock.adjust(9_999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting).pipe(Effect.timeout("1 second"), TestClock.withLive)
    }).pipe(Effect.provide(world().layer))
  )

  it.effect("the period is the nodes' own; who syncs before he answers is not waited for", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(Effect.provide(sync, world({ syncPeriodMs: 200 }).layer))
      yield* TestClock.adjust(299)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting)
      yield* Effect.provide(sync, world({ syncPeriodMs: 0 }).layer)
    })
  )

  it.effect(
    "WRITE-BEHIND-SAFE: fails where a node started anew meanwhile, and where it did before, since the last one",
    () => {
      const { layer, state } = world()
      return Effect.gen(function* () {
        yield* quiet
        assert.isFalse(yield* syncing(7_000, () => state.starts.set("b", 2)))
        yield* quiet
        assert.isTrue(yield* syncing(0, () => {}))
        state.starts.set("c", 5)
        assert.isFalse(yield* syncing(0, () => {}))
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("fails where a node ceased to answer, and not again for as long as it is away", () => {
    const { layer, state } = world()
    return Effect.gen(function* () {
      yield* quiet
      assert.isFalse(yield* syncing(14_500, () => state.starts.set("b", undefined)))
      yield* quiet
      assert.isTrue(yield* syncing(0, () => {}))
      state.starts.set("b", 2)
      assert.isFalse(yield* syncing(0, () => {}))
    }).pipe(Effect.provide(layer))
  })

  it.effect("bears a look that a slow node misses, and fails where all of Cassandra is away", () => {
    const { layer, state } = world()
    return Effect.gen(function* () {
      yield* quiet
      const slow = yield* Effect.forkChild(sync)
      yield* TestClock.adjust(3_500)
      state.starts.set("b", undefined)
      yield* TestClock.adjust(1_000)
      state.starts.set("b", 1)
      yield* TestClock.adjust(30_000)
      yield* Fiber.join(slow)
      assert.isFalse(yield* syncing(5_000, () => (state.away = true)))
    }).pipe(Effect.provide(layer))
  })
})
