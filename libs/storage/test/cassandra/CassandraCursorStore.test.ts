/** Cursors at rest keep their contract (RedisCursorStore.test runs it, too), and what is Cassandra's alone. */
import { assert, layer as withLayer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra as directory } from "../../src/cassandra/CassandraDirectory.ts"
import { layerCassandra } from "../../src/cassandra/CassandraCursorStore.ts"
import { generationLimit, select, Upsert } from "../../src/cassandra/Cql.ts"
import { type Cursor, CursorStore, laterCursor } from "../../src/CursorStore.ts"
import { Directory } from "../../src/Directory.ts"
import { freshChannel } from "../History.ts"
import { layerOfFile } from "./FileKeyspace.ts"

const at = (channel: string, seq: number, generation = 0): Cursor => ({ channel, position: { generation, seq } })
const freshUser = (): string => `u-${randomUUID()}`

/** A store of its own over this Cassandra, as another process has it. */
const storeOver = (cassandra: Cassandra["Service"]) =>
  Effect.map(
    Layer.build(Layer.fresh(layerCassandra).pipe(Layer.provide(Layer.succeed(Cassandra, cassandra)))),
    (context) => Context.get(context, CursorStore)
  )

withLayer(Layer.provideMerge(directory, layerOfFile()), { excludeTestServices: true })("Cursors at rest", (it) => {
  it.effect("†32 are the same after the same merges, in any order, repeated, by two writers at once", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const [one, two] = [yield* storeOver(cassandra), yield* storeOver(cassandra)]
      const positions = fc.array(
        fc.record({
          generation: fc.constantFrom(0, 1, 9_000, generationLimit - 1),
          seq: fc.integer({ min: 0, max: 5 })
        }),
        { minLength: 1, maxLength: 10 }
      )
      const property = fc.asyncProperty(positions, (written) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const [user, channel] = [freshUser(), freshChannel()]
            const merges = [...written, ...written.toReversed()].map((position, i) =>
              (i % 2 === 0 ? one : two).merge(user, [{ channel, position }])
            )
            yield* Effect.all(merges, { concurrency: "unbounded" })
            const position = written.reduce(laterCursor)
            assert.deepStrictEqual(yield* two.read(user), [{ channel, position }])
            assert.deepStrictEqual(yield* one.ofChannel(channel), [{ user, position }])
          })
        )
      )
      yield* Effect.promise(() => fc.assert(property, { numRuns: 40 }))
    })
  )

  it.effect("merges that come while others are written go together, one batch a partition", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const [writing, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let partitions = 0
      const store = yield* storeOver({
        ...cassandra,
        writeAll: (batches) => {
          partitions += batches.length
          return Deferred.succeed(writing, undefined).pipe(
            Effect.andThen(Deferred.await(go)),
            Effect.andThen(cassandra.writeAll(batches))
          )
        }
      })
      const channel = freshChannel()
      const first = yield* Effect.forkChild(store.merge(freshUser(), [at(channel, 1)]))
      yield* Deferred.await(writing)
      const users = Array.from({ length: 40 }, freshUser)
      const rest = yield* Effect.forEach(users, (user, i) =>
        Effect.forkChild(
          Effect.all([store.merge(user, [at(channel, i)]), store.merge(user, [at(channel, i + 1)])], {
            concurrency: 2
          }),
          { startImmediately: true }
        )
      )
      assert.strictEqual(rest.filter((it) => it.pollUnsafe() !== undefined).length, 0)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(first)
      yield* Effect.forEach(rest, Fiber.join)
      // One a user, and one for all of them in the channel; before that the first one's two.
      assert.strictEqual(partitions, 2 + 41)
      assert.lengthOf(yield* store.ofChannel(channel), 41)
      assert.deepStrictEqual(yield* store.read(users[39] ?? ""), [at(channel, 40)])
    })
  )

  it.effect("of a large channel there are cursors by user only", () =>
    Effect.gen(function* () {
      const store = yield* storeOver(yield* Cassandra)
      const [user, large, small] = [freshUser(), freshChannel(), freshChannel()]
      const row = {
        generation: 1,
        seq: 9,
        n: 1,
        name: "",
        topic: "",
        fanout: "read",
        createdAt: 1,
        idBound: 0
      } as const
      yield* (yield* Directory).writeChannels([
        { ...row, channel: large, members: 200_000 },
        { ...row, channel: small, members: 20 }
      ])
      yield* store.merge(user, [at(large, 3), at(small, 4)])
      assert.sameDeepMembers([...(yield* store.read(user))], [at(large, 3), at(small, 4)])
      assert.deepStrictEqual(yield* store.ofChannel(large), [])
      assert.deepStrictEqual(yield* store.ofChannel(small), [{ user, position: at(small, 4).position }])
    })
  )

  it.effect("a list that is longer than one answer is read to its end", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const store = yield* storeOver(cassandra)
      const [user, channel] = [freshUser(), freshChannel()]
      const all = Array.from({ length: 5_100 }, (_, i) => at(`${channel}-${String(i).padStart(5, "0")}`, i))
      // As merges write them, but not by channel, which is a request each.
      const set = new Upsert({ table: "read_cursors_by_user", key: ["user", "channel"], set: ["generation", "seq"] })
      for (let from = 0; from < all.length; from += 300) {
        const rows = all.slice(from, from + 300)
        yield* cassandra.write(
          rows.map(({ channel, position }) => set.at(1n, position.generation, BigInt(position.seq), user, channel))
        )
      }
      assert.deepStrictEqual(yield* store.read(user), all)
    })
  )

  it.effect("†5 a merge that was not written fails, and so does one that is cut off by the end", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const beyond = yield* Effect.flip(
        (yield* storeOver(cassandra)).merge(freshUser(), [at(freshChannel(), 1, 2 ** 23)])
      )
      assert.strictEqual(beyond._tag, "StoreUnavailable")
      const writing = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const store = yield* storeOver({
        ...cassandra,
        writeAll: () => Effect.andThen(Deferred.succeed(writing, undefined), Effect.never)
      }).pipe(Scope.provide(scope))
      const merging = yield* Effect.forkChild(store.merge(freshUser(), [at(freshChannel(), 1)]))
      yield* Deferred.await(writing)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(merging)))
    })
  )

  it.effect("a cursor beyond all seqs is at the end of its generation, not in the next one", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const store = yield* storeOver(cassandra)
      const [user, channel] = [freshUser(), freshChannel()]
      yield* store.merge(user, [at(channel, Number.MAX_SAFE_INTEGER, 3)])
      yield* store.merge(user, [at(channel, 7, 4)])
      assert.deepStrictEqual(yield* store.read(user), [at(channel, 7, 4)])
      const [row] = yield* cassandra.read(
        select("SELECT WRITETIME(seq) AS t FROM read_cursors_by_user WHERE user = ? AND channel = ?"),
        [user, channel]
      )
      assert.strictEqual(BigInt(String(row?.get("t"))), 4n * 2n ** 40n + 7n)
    })
  )
})
