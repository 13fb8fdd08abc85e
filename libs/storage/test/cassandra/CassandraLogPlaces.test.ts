/** How far the log has come, as Cassandra knows it: it only grows, whoever says it, and of each log by itself. */
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect } from "effect"
import { layerCassandra } from "../../src/cassandra/CassandraLogPlaces.ts"
import { LogPlaces } from "../../src/LogPlaces.ts"
import { layerOfFile } from "./FileKeyspace.ts"

withLayer(layerOfFile(), { excludeTestServices: true })("Places of logs in Cassandra", (it) => {
  const of = (log: string) => {
    const layer = layerCassandra(log)
    return {
      known: (shard: number) => Effect.flatMap(LogPlaces, (places) => places.known(shard)).pipe(Effect.provide(layer)),
      note: (shard: number, position: number) =>
        Effect.flatMap(LogPlaces, (places) => places.note([{ shard, position }])).pipe(Effect.provide(layer))
    }
  }

  it.effect("†24 †32 only grow, in whatever order they are written", () =>
    Effect.gen(function* () {
      const { known, note } = of("one")
      assert.strictEqual(yield* known(1), 0)
      for (const position of [7, 2 ** 33, 9, 12]) yield* note(1, position)
      yield* note(2, 3)
      assert.strictEqual(yield* known(1), 2 ** 33)
      assert.strictEqual(yield* known(2), 3)
      assert.strictEqual(yield* of("other").known(1), 0)
    })
  )
})
