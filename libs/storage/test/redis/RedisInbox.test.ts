/** Inboxes of Redis and mentions of Cassandra keep the contract; what is Redis's alone may be lost, and is bounded. */
import { assert, describe, it, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Inbox } from "../../src/Inbox.ts"
import { layerRedis } from "../../src/redis/RedisInbox.ts"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerOfFile } from "../cassandra/FileKeyspace.ts"
import { inboxContract } from "../InboxContract.ts"
import { freshChannel } from "../History.ts"
import { redisServer } from "./RedisServer.ts"
import { layerOf, layerShared } from "./TestRedis.ts"

const layer = layerRedis().pipe(Layer.provide(layerShared), Layer.provide(layerOfFile()))
inboxContract("Redis and Cassandra", layer)

/** These tests ask for no mentions. */
const noCassandra = Layer.mock(Cassandra, {})

const inboxOver = (url: string, channelsMax?: number) =>
  Effect.map(
    Layer.build(
      Layer.fresh(layerRedis(channelsMax === undefined ? {} : { channelsMax })).pipe(
        Layer.provide(noCassandra),
        Layer.provide(Layer.fresh(layerOf(url)))
      )
    ),
    (context) => Context.get(context, Inbox)
  )

const names = (count: number) => Array.from({ length: count }, (_, at) => `test:c${at}`)
const unread = (inbox: Inbox["Service"], channels: ReadonlyArray<string>) =>
  inbox.placesOf(channels.map((channel) => ({ channel, seq: 0 })))

describe("Inboxes in Redis", () => {
  it.live("†10 places go on after a flush: later than those of before", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const inbox = yield* inboxOver(server.url)
      const all = names(2_000)
      yield* inbox.active(all.map((channel) => ({ channel, seq: 3 })))
      const before = yield* unread(inbox, all)
      assert.strictEqual(before.length, 2_000)
      yield* Effect.promise(() => server.ask("FLUSHALL"))
      assert.deepStrictEqual(yield* unread(inbox, all), [])
      yield* inbox.active([{ channel: "test:c7", seq: 3 }])
      const [after] = yield* unread(inbox, all)
      assert.isAbove(after?.place ?? 0, Math.max(...before.map(({ place }) => place)))
    })
  )

  it.live("what many note at once is asked of Redis together", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const inbox = yield* inboxOver(server.url)
      yield* inbox.active([{ channel: "test:first", seq: 1 }])
      const asked = Effect.map(
        Effect.promise(() => server.ask("INFO", "commandstats")),
        (text) => Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(text))?.[1] ?? 0)
      )
      const before = yield* asked
      const all = names(60)
      yield* Effect.forEach(all, (channel) => inbox.active([{ channel, seq: 5 }]), {
        concurrency: "unbounded",
        discard: true
      })
      // The first alone, all others in a round: a counter and 16 pairs of keys, each.
      assert.isAtMost((yield* asked) - before, 2 + 17)
      const places = yield* unread(inbox, all)
      assert.sameMembers(
        places.map(({ channel, seq }) => `${channel} ${seq}`),
        all.map((channel) => `${channel} 5`)
      )
      assert.lengthOf(new Set(places.map(({ place }) => place)), 60)
    })
  )

  it.live("†10 two processes give each channel one place, the later one's", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const [one, two] = [yield* inboxOver(server.url), yield* inboxOver(server.url)]
      const all = names(50)
      const noting = (inbox: Inbox["Service"]) =>
        Effect.forEach(
          Array.from({ length: 20 }, (_, at) => at + 1),
          (seq) => inbox.active(all.map((channel) => ({ channel, seq }))),
          { discard: true }
        )
      yield* Effect.all([noting(one), noting(two)], { concurrency: 2 })
      const places = yield* unread(two, all)
      assert.deepStrictEqual(new Set(places.map(({ seq }) => seq)), new Set([20]))
      assert.strictEqual(new Set(places.map(({ place }) => place)).size, 50)
    })
  )

  it.live("keeps the places of so many channels, and lets go those of longest ago", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const inbox = yield* inboxOver(server.url, 160)
      const all = names(700)
      for (const channel of all) yield* inbox.active([{ channel, seq: 1 }])
      const kept = yield* unread(inbox, all)
      assert.isAtMost(kept.length, 160)
      assert.isAbove(kept.length, 80)
      // Ten of each sixteenth, so the last few are there, whatever the hash says.
      assert.includeMembers(
        kept.map(({ channel }) => channel),
        all.slice(-5)
      )
      const keys = yield* Effect.promise(() => server.ask("DBSIZE"))
      assert.isAtMost(Number(keys), 2 * 16 + 1)
    })
  )

  it.live("without Redis nothing fails and nothing is in order", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const inbox = yield* inboxOver(server.url)
      yield* inbox.active([{ channel: "test:a", seq: 3 }])
      yield* Effect.promise(() => server.kill())
      yield* inbox.active([{ channel: "test:a", seq: 4 }])
      assert.deepStrictEqual(yield* unread(inbox, ["test:a"]), [])
    })
  )
})

withLayer(layer, { excludeTestServices: true })("Mentions in Cassandra", (it) => {
  it.effect("are counted over as many seqs as a channel can have", () =>
    Effect.gen(function* () {
      const inbox = yield* Inbox
      const [user, channel] = ["ann", freshChannel()]
      const seqs = [1, 2 ** 20 - 1, 2 ** 20, 5 * 2 ** 20 + 7, 40 * 2 ** 20]
      yield* inbox.addMentions(seqs.map((seq) => ({ user, channel, seq, at: seq })))
      const count = (after: number, upTo: number) => inbox.countMentions(user, channel, after, upTo)
      assert.strictEqual(yield* count(0, 2 ** 30), 5)
      assert.strictEqual(yield* count(0, Number.MAX_SAFE_INTEGER), 5)
      assert.strictEqual(yield* count(2 ** 20 - 1, 40 * 2 ** 20 - 1), 2)
      assert.strictEqual(yield* count(2 ** 20, 2 ** 20), 0)
      assert.strictEqual(yield* count(9, 3), 0)
    })
  )
})
