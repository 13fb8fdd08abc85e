/** Who asks at once is answered together, and never with what was read before he asked. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra as layerPlaces } from "../../src/cassandra/CassandraLogPlaces.ts"
import { layerCassandra as layerParked } from "../../src/cassandra/CassandraParkedEvents.ts"
import { makeGathered } from "../../src/cassandra/Gathered.ts"
import { LogPlaces } from "../../src/LogPlaces.ts"
import { ParkedEvents } from "../../src/ParkedEvents.ts"

/** Finds nothing, and says what it was asked, and told. */
const emptyStore = () => {
  const asked: Array<string> = []
  const told: Array<string> = []
  const store = Cassandra.of({
    read: (statement) =>
      Effect.andThen(
        Effect.sync(() => void asked.push(statement.cql)),
        Effect.as(Effect.yieldNow, [])
      ),
    write: () => Effect.void,
    writeAll: (batches) =>
      Effect.sync(() => void told.push(...batches.flatMap(({ writes }) => writes.map(({ query }) => query)))),
    starts: Effect.succeed(new Map())
  })
  return { asked, told, layer: Layer.succeed(Cassandra, store) }
}

const shards = Array.from({ length: 85 }, (_, shard) => shard + 1)

describe("Gathered questions", () => {
  it.effect("an answer is never older than its question, and all who wait for the next share it", () =>
    Effect.gen(function* () {
      let value = 0
      let reads = 0
      const ask = yield* makeGathered(10, () =>
        Effect.gen(function* () {
          reads++
          const read = value
          for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
          return () => read
        })
      )
      const waiting: Array<{ readonly asked: number; readonly fiber: Fiber.Fiber<number> }> = []
      for (let turn = 0; turn < 100; turn++) {
        value = turn
        waiting.push({ asked: turn, fiber: yield* Effect.forkChild(ask("all")) })
        yield* Effect.yieldNow
      }
      for (const { asked, fiber } of waiting) assert.isAtLeast(yield* Fiber.join(fiber), asked)
      assert.isBelow(reads, 12)
    })
  )

  it.effect("no more keys are asked for at once than may be, and a failure is told to all who asked", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      const ask = yield* makeGathered(10, (keys: ReadonlySet<number>) => {
        sizes.push(keys.size)
        return keys.has(7) ? Effect.fail("no") : Effect.succeed((key: number) => key * 2)
      })
      const answers = yield* Effect.forEach(
        Array.from({ length: 25 }, (_, key) => key),
        (key) => Effect.exit(ask(key)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(sizes, [10, 10, 5])
      assert.strictEqual(answers.filter(({ _tag }) => _tag === "Failure").length, 10)
    })
  )

  it.effect("the places of all shards that are opened at once are one read of the store", () =>
    Effect.gen(function* () {
      const { asked, layer } = emptyStore()
      const places = Context.get(yield* Layer.build(Layer.provide(layerPlaces("log"), layer)), LogPlaces)
      yield* Effect.forEach(shards, (shard) => places.known(shard), { concurrency: "unbounded" })
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("†26 what is parked of all shards that are taken over at once is one read where nothing ever was", () =>
    Effect.gen(function* () {
      const { asked, layer } = emptyStore()
      const parked = Context.get(yield* Layer.build(Layer.provide(layerParked, layer)), ParkedEvents)
      yield* Effect.forEach(shards, (shard) => parked.entities(shard % 2 === 0 ? "persister" : "fanout"), {
        concurrency: "unbounded"
      })
      assert.strictEqual(asked.length, 1)
    })
  )

  it.effect("†26 that a consumer parks is said before it does: a put that is cut short is not overlooked", () =>
    Effect.gen(function* () {
      const { layer, told } = emptyStore()
      const parked = Context.get(yield* Layer.build(Layer.provide(layerParked, layer)), ParkedEvents)
      const of = { consumer: "persister", topic: "channel", id: "group:a", generation: 1, seq: 1 } as const
      yield* parked.put([{ ...of, shard: 1, kind: "message", why: "no", parkedAt: 1, event: new Uint8Array(1) }])
      const tables = told.map((query) => /^UPDATE (\w+)/.exec(query)?.[1])
      assert.deepStrictEqual(tables, ["parked_consumers", "parked_events", "parked_entities"])
    })
  )
})
