/** Who tells the store how far a log has come, when its consumers run in another process (†24). */
import { assert, describe, it } from "@effect/vitest"
import { EventLog } from "@parley/storage/EventLog"
import type { LogPlacesService } from "@parley/storage/LogPlaces"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { makeCommitSignal } from "../../src/fanout/CommitSignal.ts"
import { notePlaces, placesEveryMs } from "../../src/owner/NotedPlaces.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const layer = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

/** The owner of one shard, and what the store is told by it; the store says what it knows once `answers` is set. */
const owner = Effect.gen(function* () {
  const state = { answers: false, away: false, known: 0 }
  const told: Array<number> = []
  const places: LogPlacesService = {
    known: () => Effect.suspend(() => (state.answers ? Effect.succeed(state.known) : Effect.never)),
    note: (noted) =>
      Effect.suspend(() => {
        if (state.away) return Effect.die("away")
        for (const { position } of noted) told.push(position)
        return Effect.void
      })
  }
  const signal = makeCommitSignal()
  const runner = yield* oneShardRunner({}, { placeInStore: places.known })
  yield* notePlaces({ places, signal, placedUpTo: (of) => runner.placedUpTo(of) })
  const open = Effect.gen(function* () {
    const opening = yield* Effect.forkChild(runner.open(shard, 1))
    // It waits that long for the store, and no longer.
    while (runner.owner(shard) === undefined) {
      yield* TestClock.adjust(100)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
    }
    yield* Effect.yieldNow
    return opening
  })
  const log = yield* EventLog
  const end = Effect.map(log.last(shard), (last) => Option.getOrThrow(last).position)
  return { end, open, runner, signal, state, told }
})

const round = TestClock.adjust(placesEveryMs + 1)

const until = Effect.fnUntraced(function* (runner: Runner, done: () => boolean) {
  for (let tries = 0; !done() && tries < 2_000; tries++) {
    runner.tick()
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
  }
})

describe("†24 the store is told how far a log has come by its owner, whoever writes behind it", () => {
  it.effect("not before the store's own word was heard, however often a worker says what it stored", () =>
    Effect.gen(function* () {
      const { end, open, runner, signal, state, told } = yield* owner
      yield* open
      const position = yield* end
      for (let times = 0; times < 3; times++) {
        signal.stored(shard, position, [])
        yield* round
      }
      assert.deepStrictEqual(told, [])
      state.answers = true
      yield* until(runner, () => runner.placedUpTo(shard) > 0)
      yield* round
      assert.deepStrictEqual(told, [position])
      assert.strictEqual(runner.quarantined.size, 0)
      // Once is enough, also where it is said again.
      signal.stored(shard, position, [])
      yield* round
      assert.deepStrictEqual(told, [position])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("and never beyond the log's end, which a worker may name that knew a longer log", () =>
    Effect.gen(function* () {
      const { end, open, runner, signal, state, told } = yield* owner
      state.answers = true
      yield* open
      const position = yield* end
      signal.stored(shard, position + 1_000, [])
      yield* round
      yield* round
      assert.deepStrictEqual(told, [])
      assert.strictEqual(runner.placedUpTo(shard), position)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("nor of a shard that is somebody else's", () =>
    Effect.gen(function* () {
      const { end, open, runner, signal, state, told } = yield* owner
      state.answers = true
      yield* open
      const position = yield* end
      signal.stored(shard + 1, position, [])
      runner.drop(shard)
      signal.stored(shard, position, [])
      yield* round
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
