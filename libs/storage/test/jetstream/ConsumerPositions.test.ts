import { jetstreamManager } from "@nats-io/jetstream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { afterAll } from "vitest"
import { EventLog } from "../../src/EventLog.ts"
import { connectNats, Nats } from "../../src/jetstream/Nats.ts"
import { commit } from "../EventLogContract.ts"
import { logLayer, natsLogin, natsServers, ownPrefix, removeStreams } from "./TestNats.ts"

const prefix = ownPrefix()
let logs = 0
afterAll(() => removeStreams(prefix))

type Log = EventLog["Service"]

/** A node of its own on the log of this prefix, until the scope ends. */
const node = (own: string, shards = 16) =>
  Layer.build(Layer.fresh(logLayer({ prefix: own, shards }))).pipe(
    Effect.flatMap((context) => Effect.all({ log: EventLog, nats: Nats }).pipe(Effect.provide(context)))
  )

const until = (log: Log, shard: number, position: number) =>
  log.consumerPosition("persister", shard).pipe(
    Effect.filterOrFail(
      (found) => found === position,
      (found) => `at ${found}`
    ),
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.timeout("10 seconds")
  )

describe("consumers' positions", () => {
  it.live("are seen by other nodes, and the furthest of all stays", () =>
    Effect.gen(function* () {
      const own = `${prefix}-${logs++}`
      const [one, two] = [(yield* node(own)).log, (yield* node(own)).log]
      yield* one.setConsumerPosition("persister", 1, 5)
      yield* until(two, 1, 5)
      yield* two.setConsumerPosition("persister", 1, 9)
      yield* until(one, 1, 9)
      // Behind, and not knowing it: what is stored stays.
      yield* Effect.scoped(Effect.flatMap(node(own), ({ log }) => log.setConsumerPosition("persister", 1, 7)))
      yield* Effect.scoped(Effect.flatMap(node(own), ({ log }) => until(log, 1, 9)))
    }).pipe(Effect.scoped)
  )

  it.live("of nodes that move the same one at once end at the furthest", () =>
    Effect.gen(function* () {
      const own = `${prefix}-${logs++}`
      yield* Effect.all(
        [3, 8, 5, 1].map((position) =>
          Effect.scoped(
            Effect.flatMap(node(own), ({ log }) =>
              Effect.forEach([0, 1, 2, 3], (shard) => log.setConsumerPosition("persister", shard, position))
            )
          )
        ),
        { concurrency: "unbounded" }
      )
      const { log } = yield* node(own)
      for (const shard of [0, 1, 2, 3]) assert.strictEqual(yield* log.consumerPosition("persister", shard), 8)
    }).pipe(Effect.scoped)
  )

  it.live("are stored before the records that they cover are purged", () =>
    Effect.gen(function* () {
      const own = `${prefix}-${logs++}`
      const { log } = yield* node(own)
      const first = yield* commit(log, 1, 0, "a")
      const second = yield* commit(log, 1, first, "b")
      yield* commit(log, 1, second, "c")
      yield* log.setConsumerPosition("persister", 1, second)
      yield* log.purge(1, second)
      const connection = yield* connectNats({ servers: natsServers(), name: "test", ...natsLogin() })
      const manager = yield* Effect.promise(() => jetstreamManager(connection))
      const subject = `$KV.${own}-positions.persister.1`
      const stored = yield* Effect.promise(() =>
        manager.streams.getMessage(`KV_${own}-positions`, { last_by_subj: subject })
      )
      assert.strictEqual(stored?.string(), String(second))
    }).pipe(Effect.scoped)
  )

  it.live("†3 that another node has written before its purge are seen by a reader who meets the cut, at once", () =>
    Effect.gen(function* () {
      const own = `${prefix}-${logs++}`
      const [one, two] = [(yield* node(own)).log, (yield* node(own)).log]
      const first = yield* commit(one, 1, 0, "a")
      const second = yield* commit(one, 1, first, "b")
      yield* commit(one, 1, second, "c")
      for (const [upTo, after] of [
        [first, 0],
        [second, first]
      ] as const) {
        // The other node has looked a moment ago, so what it knows is not old.
        yield* two.consumerPosition("search-cut", 1)
        yield* one.setConsumerPosition("search-cut", 1, upTo)
        yield* one.purge(1, upTo)
        yield* two.readAfter(1, after, 1_000)
        assert.strictEqual(yield* two.consumerPosition("search-cut", 1), upTo)
      }
    }).pipe(Effect.scoped)
  )

  it.live("in 256 shards cost a round a handful of messages", () =>
    Effect.gen(function* () {
      const own = `${prefix}-${logs++}`
      const shards = Array.from({ length: 256 }, (_, shard) => shard)
      yield* Effect.scoped(
        Effect.flatMap(node(own, 256), ({ log }) =>
          Effect.forEach(shards, (shard) => log.setConsumerPosition("persister", shard, shard + 1))
        )
      )
      const { log, nats } = yield* node(own, 256)
      const before = nats.log.stats().outMsgs
      for (const shard of shards) assert.strictEqual(yield* log.consumerPosition("persister", shard), shard + 1)
      assert.isBelow(nats.log.stats().outMsgs - before, 20)
    }).pipe(Effect.scoped)
  )
})
