/** Parked events in Cassandra keep the contract of their seam, also where two processes park and let go at once. */
import { assert, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { randomUUID } from "node:crypto"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra } from "../../src/cassandra/CassandraParkedEvents.ts"
import { type ParkedEvent, ParkedEvents } from "../../src/ParkedEvents.ts"
import type { StoreUnavailable } from "../../src/StoreError.ts"
import { parkedEventsContract } from "../ParkedEventsContract.ts"
import { layerOfFile } from "./FileKeyspace.ts"

const layer = Layer.provideMerge(layerCassandra, layerOfFile())
parkedEventsContract("Cassandra", layer)

const event = (consumer: string, id: string, seq: number, rest: Partial<ParkedEvent> = {}): ParkedEvent => ({
  consumer,
  topic: "channel",
  id,
  generation: 1,
  seq,
  shard: 3,
  kind: "message",
  why: "no",
  parkedAt: 5,
  event: new Uint8Array([1, 2, seq % 256]),
  ...rest
})

withLayer(layer, { excludeTestServices: true })("Parked events in Cassandra", (it) => {
  it.effect("†26 one that was let go and is parked again is there again, with its new time", () =>
    Effect.gen(function* () {
      const parked = yield* ParkedEvents
      const [consumer, id] = [randomUUID(), `test:${randomUUID()}`]
      const again = event(consumer, id, 1, { parkedAt: 9, why: "again" })
      yield* parked.put([event(consumer, id, 1)])
      yield* parked.remove([again])
      assert.deepStrictEqual(yield* parked.of(consumer, "channel", id, 10), [])
      assert.deepStrictEqual(yield* parked.entities(consumer), [])
      yield* parked.put([again])
      assert.deepStrictEqual(yield* parked.of(consumer, "channel", id, 10), [again])
      assert.deepStrictEqual(yield* parked.entities(consumer), [{ shard: 3, topic: "channel", id, count: 1 }])
    })
  )

  it.effect("†26 what is parked while the entity's last one is let go stays listed", () =>
    Effect.gen(function* () {
      const parked = yield* ParkedEvents
      const cassandra = yield* Cassandra
      const [consumer, id] = [randomUUID(), `test:${randomUUID()}`]
      const [last, next] = [event(consumer, id, 1), event(consumer, id, 2)]
      yield* parked.put([last])
      // The other one is parked when nothing was found to be left, and before that is written.
      let meanwhile: Effect.Effect<unknown, StoreUnavailable> = parked.put([next])
      const slow = Cassandra.of({
        ...cassandra,
        read: (statement, values) =>
          Effect.tap(cassandra.read(statement, values), () => {
            if (!statement.cql.startsWith("SELECT generation, seq, shard, parked")) return Effect.void
            const put = meanwhile
            meanwhile = Effect.void
            return put
          })
      })
      const other = Context.get(
        yield* Layer.build(Layer.fresh(layerCassandra).pipe(Layer.provide(Layer.succeed(Cassandra, slow)))),
        ParkedEvents
      )
      yield* other.remove([last])
      assert.strictEqual(meanwhile, Effect.void)
      assert.deepStrictEqual(yield* parked.entities(consumer), [{ shard: 3, topic: "channel", id, count: 1 }])
      yield* parked.remove([next])
      assert.deepStrictEqual(yield* parked.entities(consumer), [])
    })
  )

  it.effect("†26 hundreds of one entity come back in order, and are counted without their bytes", () =>
    Effect.gen(function* () {
      const parked = yield* ParkedEvents
      const [consumer, id] = [randomUUID(), `test:${randomUUID()}`]
      const all = Array.from({ length: 700 }, (_, at) => event(consumer, id, at + 1))
      yield* parked.put(all.toReversed())
      yield* parked.remove(all.slice(0, 300))
      assert.deepStrictEqual(yield* parked.of(consumer, "channel", id, 1_000), all.slice(300))
      assert.deepStrictEqual(yield* parked.of(consumer, "channel", id, 2), all.slice(300, 302))
      assert.deepStrictEqual(yield* parked.entities(consumer), [{ shard: 3, topic: "channel", id, count: 400 }])
      const listed = (yield* parked.list(10_000)).filter((it) => it.consumer === consumer)
      assert.deepStrictEqual(listed, all.slice(300))
    })
  )
})
