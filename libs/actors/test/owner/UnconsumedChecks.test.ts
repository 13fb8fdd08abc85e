/** What an opening does not read, and consumers can't yet: a store is away, and the log is damaged below a checkpoint. */
import { assert, describe, it } from "@effect/vitest"
import { EventLog, LogUnavailable } from "@parley/storage/EventLog"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Layer } from "effect"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:a"
const cid = "01900000-0000-7000-8000-000000000001"
const layers = Layer.mergeAll(MemoryEventLog.layer({ positions: "dense" }), MemoryStores.layer)

/** A log with a checkpoint in it, and where that is. */
const checkpointed = Effect.gen(function* () {
  const runner = yield* oneShardRunner()
  yield* runner.open(shard, 1)
  const mutation = { op: "create", channel, cid, name: "a", topic: "", members: [] } as const
  const time = Date.now().toString(16).padStart(12, "0")
  const caller = { user: "ann", device: "d", connection: 1, edge: "e" }
  yield* ask(runner, {
    _tag: "Mutate",
    caller,
    mutation: { ...mutation, cid: `${time.slice(0, 8)}-${time.slice(8)}${cid.slice(13)}` },
    admin: false
  })
  yield* Effect.sleep(0)
  runner.owner(shard)?.checkpoints.write()
  yield* runner.owner(shard)?.log.flush() ?? Effect.void
  runner.drop(shard)
  return runner
})

describe("†24 records that nobody has consumed, below what an opening replays", () => {
  it.live("are read once the shard is served, and damage there takes it out of service", () =>
    Effect.gen(function* () {
      yield* checkpointed
      const faults = yield* MemoryEventLogFaults
      // The epoch record, what was created, the checkpoint.
      faults.damage(shard, 2)
      const found: Array<string> = []
      const runner = yield* oneShardRunner({}, { onQuarantined: (_, what) => found.push(what) })
      yield* runner.open(shard, 2)
      assert.isTrue(runner.owner(shard)?.serving)
      for (let tries = 0; found.length === 0 && tries < 1_000; tries++) {
        runner.tick()
        yield* Effect.sleep(1)
      }
      assert.match(found[0] ?? "", /^at 2: /)
      assert.isUndefined(runner.owner(shard))
    }).pipe(Effect.provide(layers))
  )

  it.live("are read when no shard is being opened, and again where the log was away", () =>
    Effect.gen(function* () {
      yield* checkpointed
      const log = yield* EventLog
      let away = true
      const reads: Array<boolean> = []
      const counted = EventLog.of({
        ...log,
        readAfter: (of, after, bytesMax) =>
          Effect.suspend(() => {
            // What an opening reads begins with the checkpoint.
            if (after > 0) return log.readAfter(of, after, bytesMax)
            reads.push(away)
            return away ? Effect.fail(new LogUnavailable({ cause: "test" })) : log.readAfter(of, after, bytesMax)
          })
      })
      const runner = yield* oneShardRunner().pipe(Effect.provideService(EventLog, counted))
      yield* runner.open(shard, 2)
      assert.deepStrictEqual(reads, [])
      runner.tick()
      while (reads.length < 1) yield* Effect.sleep(1)
      away = false
      for (let tries = 0; reads.length < 2 && tries < 1_000; tries++) {
        runner.tick()
        yield* Effect.sleep(1)
      }
      assert.deepStrictEqual(reads, [true, false])
      for (let tick = 0; tick < 10; tick++) {
        runner.tick()
        yield* Effect.sleep(1)
      }
      assert.deepStrictEqual(reads, [true, false])
      assert.isTrue(runner.owner(shard)?.serving)
    }).pipe(Effect.provide(layers))
  )
})
