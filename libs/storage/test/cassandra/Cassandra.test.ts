/** The client of Cassandra when Cassandra is away, comes back, or does not answer: bounded, typed, and by itself well again. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule } from "effect"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import type { CassandraOptions } from "../../src/cassandra/CassandraClient.ts"
import { long, select, Upsert } from "../../src/cassandra/Cql.ts"
import { StoreRefused, StoreUnavailable } from "../../src/StoreError.ts"
import { cassandraProxy } from "./CassandraProxy.ts"
import { dropKeyspace, freshKeyspace } from "./TestKeyspace.ts"

const put = new Upsert({ table: "message_id_bound", key: ["id"], set: ["before"] })
const get = select("SELECT before FROM message_id_bound WHERE id = ?")

const keyspace = Effect.acquireRelease(Effect.promise(freshKeyspace), dropKeyspace)
const build = (options: CassandraOptions) =>
  Effect.map(Layer.build(Layer.fresh(Cassandra.layer(options))), (context) => Context.get(context, Cassandra))

/** Until it succeeds: what is not there now comes back by itself. */
const eventually = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.retry(effect, { schedule: Schedule.spaced(100), times: 300 })

describe("Cassandra", () => {
  it.live(
    "WRITE-BEHIND-SAFE: who started without Cassandra has it once it is there, and again after it was away",
    () =>
      Effect.gen(function* () {
        const proxy = yield* cassandraProxy
        const options = { ...(yield* keyspace), contactPoints: [proxy.contactPoint], startWithout: true }
        yield* Effect.promise(() => proxy.cut())
        const cassandra = yield* build(options)
        assert.instanceOf(yield* Effect.flip(cassandra.write([put.at(7n, 7n, 1)])), StoreUnavailable)
        yield* Effect.promise(() => proxy.open())
        yield* eventually(cassandra.write([put.at(7n, 7n, 1)]))
        yield* Effect.promise(() => proxy.cut())
        assert.instanceOf(yield* Effect.flip(cassandra.read(get, [1])), StoreUnavailable)
        yield* Effect.promise(() => proxy.open())
        const rows = yield* eventually(cassandra.read(get, [1]))
        assert.strictEqual(rows[0]?.get("before"), 7n)
      }),
    120_000
  )

  it.live(
    "says when each node started, and that it does not answer while it is cut off",
    () =>
      Effect.gen(function* () {
        const proxy = yield* cassandraProxy
        const cassandra = yield* build({ ...(yield* keyspace), contactPoints: [proxy.contactPoint] })
        const first = yield* cassandra.starts
        assert.isAbove(first.size, 0)
        for (const start of first.values()) assert.isAbove(start ?? 0, 0)
        assert.deepStrictEqual(yield* cassandra.starts, first)
        proxy.mute(true)
        assert.deepStrictEqual([...(yield* cassandra.starts).values()], [undefined])
        proxy.mute(false)
      }),
    120_000
  )

  it.live(
    "†32 a write whose answer was lost is written again, and is one write",
    () =>
      Effect.gen(function* () {
        const proxy = yield* cassandraProxy
        const options = { ...(yield* keyspace), contactPoints: [proxy.contactPoint], requestMsMax: 3_000 }
        const cassandra = yield* build(options)
        yield* cassandra.write([put.at(1n, 1n, 1)])
        proxy.mute(true)
        const direct = yield* build({ ...options, contactPoints: (yield* Effect.promise(freshKeyspace)).contactPoints })
        const applied = eventually(
          Effect.filterOrFail(direct.read(get, [1]), ([row]) => row?.get("before") === 5n)
        ).pipe(Effect.tap(() => Effect.sync(() => proxy.mute(false))))
        yield* Effect.all([cassandra.write([put.at(5n, 5n, 1)]), applied], { concurrency: 2 })
        // An older one changes nothing, however late it comes.
        yield* cassandra.write([put.at(4n, 4n, 1)])
        assert.strictEqual((yield* cassandra.read(get, [1]))[0]?.get("before"), 5n)
      }),
    120_000
  )

  it.live(
    "while it does not answer, who waits is bounded in number and in time",
    () =>
      Effect.gen(function* () {
        const proxy = yield* cassandraProxy
        const cassandra = yield* build({
          ...(yield* keyspace),
          contactPoints: [proxy.contactPoint],
          readsInFlightMax: 2,
          waitingMax: 3,
          requestMsMax: 1_000
        })
        yield* cassandra.read(get, [1])
        proxy.mute(true)
        const answers = yield* Effect.all(
          Array.from({ length: 8 }, () => Effect.flip(cassandra.read(get, [1]))),
          { concurrency: "unbounded" }
        )
        const busy = answers.filter((error) => error.message.includes("wait already"))
        assert.lengthOf(busy, 3)
        assert.isTrue(answers.every((error) => error instanceof StoreUnavailable))
        proxy.mute(false)
        yield* eventually(cassandra.read(get, [1]))
      }),
    120_000
  )

  it.live(
    "what Cassandra will never take is refused, and is not tried again; a table that is missing may come",
    () =>
      Effect.gen(function* () {
        const cassandra = yield* build(yield* keyspace)
        for (const value of ["no number", 1, true] as const) {
          assert.instanceOf(yield* Effect.flip(cassandra.write([put.at(1n, value, 1)])), StoreRefused)
        }
        const tooLong = new Upsert({ table: "channels", key: ["channel"], set: ["seq"] })
        assert.instanceOf(
          yield* Effect.flip(cassandra.write([tooLong.at(1n, long(1), "x".repeat(70_000))])),
          StoreRefused
        )
        const missing = new Upsert({ table: "no_table", key: ["id"], set: ["value"] })
        assert.instanceOf(yield* Effect.flip(cassandra.write([missing.at(1n, 1, 1)])), StoreUnavailable)
      }),
    60_000
  )
})
