/**
 * Cursors in Redis in front of Cassandra keep the contract, and never move back: not by a flush, a restart from an older
 * file, a refill that comes late, nor by a Redis that is away for one process and not for another.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule } from "effect"
import * as fc from "fast-check"
import { layerCassandra } from "../../src/cassandra/CassandraCursorStore.ts"
import { type Cursor, CursorStore, laterCursor } from "../../src/CursorStore.ts"
import { layerMemory } from "../../src/memory/MemoryCursorStore.ts"
import { layerRedis } from "../../src/redis/RedisCursorStore.ts"
import { StoreUnavailable } from "../../src/StoreError.ts"
import { layerOfFile } from "../cassandra/FileKeyspace.ts"
import { cursorStoreContract } from "../CursorStoreContract.ts"
import { commandTimeoutMs } from "../../src/redis/RedisOptions.ts"
import { proxyTo } from "./Line.ts"
import { redisServer } from "./RedisServer.ts"
import { layerOf, layerShared } from "./TestRedis.ts"

const atRest = Layer.provide(layerCassandra, layerOfFile())
cursorStoreContract("Cassandra", atRest)
cursorStoreContract("Redis before Cassandra", layerRedis.pipe(Layer.provide(atRest), Layer.provide(layerShared)))

const user = "ann"
const channel = "test:a"
const at = (seq: number, generation = 0): Cursor => ({ channel, position: { generation, seq } })

/** A store that counts its reads, and can be told to wait in them. */
const makeStore = Effect.gen(function* () {
  const memory = Context.get(yield* Layer.build(layerMemory), CursorStore)
  const seen: { reads: number; before: Effect.Effect<void> } = { reads: 0, before: Effect.void }
  const store = CursorStore.of({
    ...memory,
    read: (user) =>
      Effect.gen(function* () {
        seen.reads++
        const rows = yield* memory.read(user)
        yield* seen.before
        return rows
      }),
    ofChannel: (channel) =>
      Effect.gen(function* () {
        seen.reads++
        const rows = yield* memory.ofChannel(channel)
        yield* seen.before
        return rows
      })
  })
  return { store, seen }
})

/** One process: its own connection to Redis, the same store. */
const process = (url: string, store: CursorStore["Service"]) =>
  Effect.map(
    Layer.build(
      Layer.fresh(layerRedis).pipe(
        Layer.provide(Layer.succeed(CursorStore, store)),
        Layer.provide(Layer.fresh(layerOf(url)))
      )
    ),
    (context) => Context.get(context, CursorStore)
  )

/** Whether its reads are Redis's: those of users that it has seen, without the store. */
const isHot = (hot: CursorStore["Service"], seen: { readonly reads: number }) =>
  Effect.gen(function* () {
    const before = seen.reads
    yield* hot.read("somebody else")
    return seen.reads === before
  })

const until = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
  holds.pipe(
    Effect.flatMap((yes) => (yes ? Effect.void : Effect.fail(new Error(`still not: ${what}`)))),
    Effect.retry({ schedule: Schedule.spaced(20), times: 1_500 })
  )

describe("Cursors in Redis", () => {
  it.live("a user's whole list is read from the store once, then from Redis", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      yield* store.merge(user, [at(5), { channel: "test:b", position: { generation: 3, seq: 1 } }])
      const hot = yield* process(server.url, store)
      const first = yield* hot.read(user)
      assert.sameDeepMembers([...(yield* hot.read(user))], [...first])
      yield* hot.merge(user, [at(9)])
      assert.deepInclude(yield* hot.read(user), at(9))
      assert.strictEqual(seen.reads, 1)
    })
  )

  it.live("the cursors of a channel are read from the store once, then from Redis, with all that is merged since", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      yield* one.merge("bob", [at(3)])
      // Nobody has asked yet: Redis keeps nothing of it.
      assert.strictEqual(String(yield* Effect.promise(() => server.ask("EXISTS", `parley:cursors-of:${channel}`))), "0")
      assert.deepStrictEqual(yield* one.ofChannel(channel), [{ user: "bob", position: at(3).position }])
      yield* two.merge(user, [at(5)])
      yield* two.merge("bob", [at(2)])
      yield* one.merge("bob", [at(1, 7)])
      const expected = [
        { user: "bob", position: at(1, 7).position },
        { user, position: at(5).position }
      ]
      for (const by of [one, two]) assert.sameDeepMembers([...(yield* by.ofChannel(channel))], expected)
      assert.strictEqual(seen.reads, 1)
      yield* Effect.promise(() => server.ask("FLUSHALL"))
      yield* two.merge(user, [at(6)])
      assert.deepInclude(yield* one.ofChannel(channel), { user, position: at(6).position })
      assert.strictEqual(seen.reads, 2)
    })
  )

  it.live("a refill of a channel's cursors that comes late, after a newer merge, takes nothing back", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      yield* one.merge(user, [at(5)])
      const [asked, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      seen.before = Deferred.succeed(asked, undefined).pipe(Effect.andThen(Deferred.await(go)))
      const refill = yield* Effect.forkChild(one.ofChannel(channel))
      yield* Deferred.await(asked)
      seen.before = Effect.void
      yield* two.merge(user, [at(7)])
      yield* Deferred.succeed(go, undefined)
      const newest = [{ user, position: at(7).position }]
      assert.deepStrictEqual(yield* Fiber.join(refill), newest)
      for (const by of [one, two]) assert.deepStrictEqual(yield* by.ofChannel(channel), newest)
      assert.strictEqual(seen.reads, 1)
    })
  )

  it.live("†5 FLUSHALL in the midst of merges loses nothing, and a mark unread stays", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      const merging = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 300 }, (_, i) => i + 1),
          (seq) => (seq % 2 === 0 ? one : two).merge(user, [seq < 200 ? at(seq) : at(seq - 150, 200)]),
          { discard: true }
        )
      )
      let last = at(0).position
      for (let round = 0; merging.pollUnsafe() === undefined; round++) {
        if (round % 5 === 0) yield* Effect.promise(() => server.ask("FLUSHALL"))
        const [cursor] = yield* (round % 2 === 0 ? two : one).read(user)
        const position = cursor?.position ?? last
        assert.deepStrictEqual(laterCursor(position, last), position)
        last = position
      }
      yield* Fiber.join(merging)
      assert.deepStrictEqual(yield* two.read(user), [at(150, 200)])
    })
  )

  it.live("a refill that comes late, after a newer merge, takes nothing back", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      yield* one.merge(user, [at(5)])
      for (const flushed of [false, true]) {
        yield* Effect.promise(() => server.ask("FLUSHALL"))
        const [asked, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        seen.before = Deferred.succeed(asked, undefined).pipe(Effect.andThen(Deferred.await(go)))
        const refill = yield* Effect.forkChild(one.read(user))
        yield* Deferred.await(asked)
        seen.before = Effect.void
        const newer = at(flushed ? 9 : 7)
        yield* two.merge(user, [newer])
        if (flushed) yield* Effect.promise(() => server.ask("FLUSHALL"))
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(refill)
        assert.deepStrictEqual(yield* one.read(user), [newer])
        assert.deepStrictEqual(yield* two.read(user), [newer])
      }
    })
  )

  it.live("what a restarted server has from an older file is not believed", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const hot = yield* process(server.url, store)
      yield* hot.merge(user, [at(5)])
      yield* hot.read(user)
      yield* Effect.promise(() => server.ask("SAVE"))
      yield* hot.merge(user, [at(9)])
      yield* Effect.promise(() => server.kill())
      yield* Effect.promise(() => server.start())
      const reads = seen.reads
      yield* until(
        "a read by Redis",
        Effect.map(hot.read(user), () => seen.reads > reads)
      )
      assert.match(
        String(yield* Effect.promise(() => server.ask("HGET", `parley:cursors:${user}`, channel))),
        /^0:[59]$/
      )
      assert.deepStrictEqual(yield* hot.read(user), [at(9)])
    })
  )

  it.live("a refill that was announced before a restart, and comes after it, completes nothing", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      yield* store.merge(user, [at(5)])
      const [asked, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      seen.before = Deferred.succeed(asked, undefined).pipe(Effect.andThen(Deferred.await(go)))
      const refill = yield* Effect.forkChild(one.read(user))
      yield* Deferred.await(asked)
      seen.before = Effect.void
      yield* Effect.promise(() => server.ask("SAVE"))
      yield* two.merge(user, [at(9)])
      yield* Effect.promise(() => server.kill())
      yield* Effect.promise(() => server.start())
      yield* until("one has Redis", isHot(one, seen))
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(refill)
      assert.deepStrictEqual(yield* one.read(user), [at(9)])
    })
  )

  it.live("without Redis everything goes on, and what Redis missed is not read from it when it is back", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const line = yield* proxyTo(server.port)
      const [one, two] = [yield* process(line.url, store), yield* process(server.url, store)]
      yield* one.merge(user, [at(5)])
      assert.deepStrictEqual(yield* two.read(user), [at(5)])
      yield* two.ofChannel(channel)
      // Away for one only: all that Redis had is still there, and complete.
      line.cut()
      yield* one.merge(user, [at(9)])
      assert.deepStrictEqual(yield* one.read(user), [at(9)])
      line.mend()
      assert.deepStrictEqual(yield* one.read(user), [at(9)])
      yield* until(
        "two reads what Redis missed",
        Effect.map(two.read(user), ([cursor]) => cursor?.position.seq === 9)
      )
      yield* until(
        "two reads what Redis missed of a channel",
        Effect.map(two.ofChannel(channel), ([cursor]) => cursor?.position.seq === 9)
      )
      yield* until("one has Redis", isHot(one, seen))
      assert.deepStrictEqual(yield* one.read(user), [at(9)])
    })
  )

  it.live("a Redis that does not answer holds nothing up", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { seen, store } = yield* makeStore
      const hot = yield* process(server.url, store)
      yield* hot.merge(user, [at(5)])
      yield* hot.read(user)
      server.signal("SIGSTOP")
      yield* hot.merge(user, [at(9)]).pipe(Effect.timeout(2 * commandTimeoutMs))
      assert.deepStrictEqual(yield* hot.read(user), [at(9)])
      server.signal("SIGCONT")
      yield* until("Redis is back", isHot(hot, seen))
      assert.deepStrictEqual(yield* hot.read(user), [at(9)])
    })
  )

  it.live("a merge that the store does not have fails, and Redis does not show it", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { store } = yield* makeStore
      const away = new StoreUnavailable({ store: "test", cause: new Error("away") })
      let up = true
      const hot = yield* process(server.url, {
        ...store,
        merge: (...cursors) => (up ? store.merge(...cursors) : Effect.fail(away))
      })
      yield* hot.merge(user, [at(5)])
      up = false
      assert.isTrue(Exit.isFailure(yield* Effect.exit(hot.merge(user, [at(9)]))))
      assert.deepStrictEqual(yield* hot.read(user), [at(5)])
    })
  )

  it.live("merges by two processes, in any order, with flushes between, end at the largest", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const { store } = yield* makeStore
      const [one, two] = [yield* process(server.url, store), yield* process(server.url, store)]
      let users = 0
      const step = fc.record({
        do: fc.constantFrom("merge", "merge", "merge", "read", "flush"),
        by: fc.boolean(),
        generation: fc.integer({ min: 0, max: 2 }),
        seq: fc.integer({ min: 0, max: 9 })
      })
      const property = fc.asyncProperty(fc.array(step, { maxLength: 20 }), (steps) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const user = `u${users++}`
            let largest = at(0).position
            yield* Effect.forEach(
              steps,
              (it) => {
                const by = it.by ? one : two
                if (it.do === "flush") return Effect.promise(() => server.ask("FLUSHALL"))
                if (it.do === "read") return by.read(user)
                const cursor = at(it.seq, it.generation)
                largest = laterCursor(largest, cursor.position)
                return by.merge(user, [cursor])
              },
              { concurrency: 4, discard: true }
            )
            const merged = steps.some((it) => it.do === "merge")
            for (const by of [one, two]) {
              assert.deepStrictEqual(yield* by.read(user), merged ? [{ channel, position: largest }] : [])
            }
          })
        )
      )
      yield* Effect.promise(() => fc.assert(property, { numRuns: 60 }))
    })
  )
})
