/** A log that comes back with less than the store knows it had is not served, nor written on (†24). */
import { assert, describe, it } from "@effect/vitest"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Layer } from "effect"
import { memberFanoutConsumer } from "../../src/fanout/ConsumerNames.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const runnerWith = (placeInStore: (shard: number) => Effect.Effect<number, unknown>) =>
  oneShardRunner({}, { placeInStore })

const ticks = Effect.fnUntraced(function* (runner: Runner, done: () => boolean) {
  for (let tries = 0; !done() && tries < 2_000; tries++) {
    runner.tick()
    yield* Effect.sleep(1)
  }
})

const layer = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("†24 an older log than is known of", () => {
  const knowing = {
    "the store": () => runnerWith(() => Effect.succeed(5)),
    "a consumer": Effect.fnUntraced(function* () {
      const log = yield* EventLog
      yield* log.setConsumerPosition(memberFanoutConsumer, shard, 5)
      return yield* runnerWith(() => Effect.succeed(0))
    })
  }
  it.live.each(Object.entries(knowing))("is quarantined before anything is written, as %s knows of it", ([, known]) =>
    Effect.gen(function* () {
      const faults = yield* MemoryEventLogFaults
      const runner = yield* known()
      const error = yield* Effect.flip(runner.open(shard, 1))
      assert.strictEqual(error._tag, "ShardQuarantined")
      assert.match(runner.quarantined.get(shard) ?? "", /the log ends at 0, but 5 is known/)
      assert.deepStrictEqual(faults.records(shard), [])
    }).pipe(Effect.provide(layer))
  )

  it.live("is quarantined when a store that was away says so", () =>
    Effect.gen(function* () {
      let away = true
      let asked = 0
      const runner = yield* runnerWith(() =>
        Effect.suspend(() => {
          asked++
          return away ? Effect.fail("away") : Effect.succeed(1_000)
        })
      )
      yield* runner.open(shard, 1)
      assert.isTrue(runner.owner(shard)?.serving)
      yield* ticks(runner, () => asked > 2)
      assert.isTrue(runner.owner(shard)?.serving)
      // What is told meanwhile would be taken for the end of a longer log.
      assert.strictEqual(runner.placedUpTo(shard), 0)
      away = false
      yield* ticks(runner, () => runner.quarantined.has(shard))
      assert.isUndefined(runner.owner(shard))
      assert.match(runner.quarantined.get(shard) ?? "", /the store knows of 1000/)
    }).pipe(Effect.provide(layer))
  )

  it.live("is none where the store knows of no more than there is, and no takeover waits for a store that hangs", () =>
    Effect.gen(function* () {
      let answer: Effect.Effect<number> = Effect.never
      const runner = yield* runnerWith(() => Effect.suspend(() => answer))
      yield* runner.open(shard, 1)
      assert.isTrue(runner.owner(shard)?.serving)
      const log = yield* EventLog
      const last = yield* log.last(shard)
      answer = Effect.succeed(last._tag === "Some" ? last.value.position : -1)
      runner.drop(shard)
      runner.setLease(shard, Number.POSITIVE_INFINITY)
      yield* runner.open(shard, 2)
      assert.isTrue(runner.owner(shard)?.serving)
      assert.strictEqual(runner.quarantined.size, 0)
    }).pipe(Effect.provide(layer))
  )
})
