/** Partitions' batches that share requests: within bounds, and each caller told of his own rows alone. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as fc from "fast-check"
import { refused, unavailable } from "../../src/cassandra/CassandraClient.ts"
import { Upsert, type Write } from "../../src/cassandra/Cql.ts"
import { PartitionBatches } from "../../src/cassandra/PartitionBatches.ts"
import {
  makeSharedBatches,
  sharedBytesMax,
  sharedPartitionsMax,
  type WriteFailure
} from "../../src/cassandra/SharedBatches.ts"

const put = new Upsert({ table: "t", key: ["id"], set: ["value"] })
const keyOf = ({ params }: Write): string => String(params[2])
const everywhere = () => "everywhere"

/** Each id is a partition, with a row of so many bytes. */
const batchesOf = (ids: ReadonlyArray<string>, bytes = 1) => {
  const batches = new PartitionBatches(100)
  for (const id of ids) batches.add(id, put.at(1n, Buffer.alloc(bytes), id))
  return batches.batches
}
const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => `${prefix}${at}`)

/** Keeps what it is sent, but for requests in which something is wrong: those as a whole. */
const table = (wrong: (id: string) => WriteFailure | undefined = () => undefined) => {
  const requests: Array<ReadonlyArray<Write>> = []
  const rows = new Set<string>()
  const send = (writes: ReadonlyArray<Write>) =>
    Effect.suspend(() => {
      requests.push(writes)
      for (const write of writes) {
        const failure = wrong(keyOf(write))
        if (failure !== undefined) return Effect.fail(failure)
      }
      for (const write of writes) rows.add(keyOf(write))
      return Effect.void
    })
  return { requests, rows, send }
}

const shared = (send: (writes: ReadonlyArray<Write>) => Effect.Effect<void, WriteFailure>, requestsAtOnceMax = 8) =>
  makeSharedBatches({ send, requestsAtOnceMax })

describe("Batches that share requests", () => {
  it.live("rows of several callers and partitions go together, and all are there", () =>
    Effect.gen(function* () {
      const { requests, rows, send } = table()
      const batches = yield* shared(send)
      const callers = Array.from({ length: 30 }, (_, at) => ids(`${at}-`, 2))
      yield* Effect.forEach(callers, (own) => batches.write(batchesOf(own), everywhere), { concurrency: "unbounded" })
      assert.strictEqual(rows.size, 60)
      // Six full ones, unless the first ones were not waited for.
      assert.isAtMost(requests.length, 8)
    })
  )

  it.live("a request has no more partitions and bytes than Cassandra takes without a warning", () =>
    Effect.gen(function* () {
      const { requests, rows, send } = table()
      const batches = yield* shared(send)
      const small = batches.write(batchesOf(ids("small", 25)), everywhere)
      const middle = batches.write(batchesOf(ids("middle", 9), 1_000), everywhere)
      const large = batches.write(batchesOf(ids("large", 2), sharedBytesMax), everywhere)
      yield* Effect.all([small, middle, large], { concurrency: "unbounded" })
      assert.strictEqual(rows.size, 36)
      for (const writes of requests) {
        const bytes = writes.reduce((sum, { params }) => sum + (params[1] as Buffer).length, 0) // as: `put`
        assert.isAtMost(writes.length, sharedPartitionsMax)
        if (writes.length > 1) assert.isBelow(bytes, sharedBytesMax)
      }
      assert.isAtMost(requests.length, 3 + 3 + 2)
    })
  )

  it.live("only what the same nodes keep goes together; where that is not known, each partition goes alone", () =>
    Effect.gen(function* () {
      const { requests, send } = table()
      const batches = yield* shared(send)
      const set = (write: Write) => (keyOf(write).startsWith("?") ? undefined : keyOf(write).slice(0, 1))
      yield* batches.write(batchesOf([...ids("a", 5), ...ids("b", 5), ...ids("?", 3)]), set)
      const together = requests.map((writes) => new Set(writes.map(keyOf).map((id) => id.slice(0, 1))))
      for (const sets of together) assert.strictEqual(sets.size, 1)
      assert.deepStrictEqual(requests.map((it) => it.length).sort(), [1, 1, 1, 5, 5])
    })
  )

  it.live("†26 one refused row fails its own caller alone", () =>
    Effect.gen(function* () {
      const { rows, send } = table((id) => (id === "poison" ? refused("a bad row") : undefined))
      const batches = yield* shared(send)
      const callers = [["a", "b"], ["c", "poison", "d"], ["e"]]
      const exits = yield* Effect.forEach(callers, (own) => Effect.exit(batches.write(batchesOf(own), everywhere)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.deepStrictEqual(exits[1], Exit.fail(refused("a bad row")))
      assert.deepStrictEqual([...rows].sort(), ["a", "b", "c", "d", "e"])
    })
  )

  it.live("WRITE-BEHIND-SAFE: who shares a request that could not be made is told so, and may write again", () =>
    Effect.gen(function* () {
      let away = true
      const { requests, rows, send } = table(() => (away ? unavailable(new Error("away")) : undefined))
      const batches = yield* shared(send)
      const all = Effect.forEach([["a"], ["b"]], (own) => Effect.exit(batches.write(batchesOf(own), everywhere)), {
        concurrency: 2
      })
      assert.deepStrictEqual((yield* all).map(Exit.isSuccess), [false, false])
      // Not one by one afterwards: it is not the rows' fault.
      assert.isAtMost(requests.length, 2)
      away = false
      assert.deepStrictEqual((yield* all).map(Exit.isSuccess), [true, true])
      assert.strictEqual(rows.size, 2)
    })
  )

  it.live("there are no more requests at once than there may be, and what waits for one fills up meanwhile", () =>
    Effect.gen(function* () {
      const { requests, rows, send } = table()
      const [started, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let [now, most] = [0, 0]
      const slow = (writes: ReadonlyArray<Write>) =>
        Effect.gen(function* () {
          most = Math.max(most, ++now)
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(go)
          yield* send(writes)
          now--
        })
      const batches = yield* shared(slow, 1)
      const first = yield* Effect.forkChild(batches.write(batchesOf(["first"]), everywhere))
      yield* Deferred.await(started)
      const rest = yield* Effect.forEach(ids("r", 40), (id) =>
        Effect.forkChild(batches.write(batchesOf([id]), everywhere), { startImmediately: true })
      )
      yield* Deferred.succeed(go, undefined)
      yield* Effect.forEach([first, ...rest], Fiber.join)
      assert.strictEqual(most, 1)
      assert.strictEqual(rows.size, 41)
      assert.strictEqual(requests.length, 1 + 4)
    })
  )

  it.live("a caller with very many partitions gets through", () =>
    Effect.gen(function* () {
      const { rows, send } = table()
      const batches = yield* shared(send)
      yield* batches.write(batchesOf(ids("m", 70_000)), everywhere)
      assert.strictEqual(rows.size, 70_000)
    })
  )

  it.live("who waits when it is closed is told, and who comes later", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const started = yield* Deferred.make<void>()
      const never = () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
      const batches = yield* Scope.provide(shared(never, 1), scope)
      const writing = yield* Effect.forkChild(batches.write(batchesOf(ids("a", 30)), everywhere))
      yield* Deferred.await(started)
      yield* Scope.close(scope, Exit.void)
      const failed = yield* Effect.flip(Fiber.join(writing))
      assert.strictEqual(failed._tag, "StoreUnavailable")
      const late = yield* Effect.flip(batches.write(batchesOf(["b"]), everywhere))
      assert.strictEqual(late._tag, "StoreUnavailable")
    })
  )

  it("what is there, and who is told what, is as if each partition were written by itself", () => {
    const caller = fc.uniqueArray(fc.nat(40), { minLength: 0, maxLength: 15 })
    const run = fc.record({
      callers: fc.array(caller, { minLength: 1, maxLength: 12 }),
      wrong: fc.uniqueArray(fc.nat(40), { maxLength: 3 }),
      bytes: fc.constantFrom(1, 700, 5_000),
      sets: fc.integer({ min: 1, max: 4 }),
      atOnce: fc.integer({ min: 1, max: 4 })
    })
    return fc.assert(
      fc.asyncProperty(run, ({ atOnce, bytes, callers, sets, wrong }) =>
        Effect.runPromise(
          Effect.scoped(
            Effect.gen(function* () {
              const isWrong = (id: string) => wrong.includes(Number(id.split("/")[1]))
              const { rows, send } = table((id) => (isWrong(id) ? refused(id) : undefined))
              const batches = yield* shared(send, atOnce)
              const named = callers.map((own, at) => own.map((id) => `${at}/${id}`))
              const set = (write: Write) => String(Number(keyOf(write).split("/")[1]) % sets)
              const exits = yield* Effect.forEach(
                named,
                (own) => Effect.exit(batches.write(batchesOf(own, bytes), set)),
                { concurrency: "unbounded" }
              )
              const alone = named.map((own) => own.every((id) => !isWrong(id)))
              assert.deepStrictEqual(exits.map(Exit.isSuccess), alone)
              assert.deepStrictEqual(
                [...rows].sort(),
                named
                  .flat()
                  .filter((id) => !isWrong(id))
                  .sort()
              )
            })
          )
        )
      )
    )
  })
})
