/** What owners answer to attaches, syncs and pages: to whom, from where to where, and in which form. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { channelTopic, userTopic } from "@parley/actors/owner/OwnerProtocol"
import type { ChannelSync } from "@parley/protocol/Frame"
import { Directory } from "@parley/storage/Directory"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { layerRuntime } from "../../src/Runtime.ts"
import { layerMemoryWorld, newId, shardCount, until, world } from "./World.ts"

const channel = "group:one"

const change = Effect.fnUntraced(function* (op: "add_members" | "remove_members", user: string) {
  const { mutate } = yield* world
  return yield* mutate("ana", { op, channel, cid: newId(), members: [user] })
})

const synced = Effect.fnUntraced(function* (user: string, held: { generation: number; seq: number } | null) {
  const { sync } = yield* world
  const result = yield* sync(user, channel, held)
  // Our own encoding of a ChannelSync.
  return result?._tag === "Sync" ? (JSON.parse(result.sync) as ChannelSync) : undefined
})

describe("an attach", () => {
  it.live("†7 is authorised for each user, also where the edge holds the topic already", () =>
    Effect.gen(function* () {
      const { attach, create, edge, send } = yield* world
      yield* create("ana", channel, ["ana", "ben"])
      const [one, two] = [yield* edge("e1"), yield* edge("e2")]
      assert.deepStrictEqual((yield* attach(one, channelTopic(channel), ["ana"])).topics[0]?.denied, [])
      assert.deepStrictEqual((yield* attach(one, channelTopic(channel), ["eve", "ben"])).topics[0]?.denied, ["eve"])
      const [denied] = (yield* attach(two, channelTopic(channel), ["eve"])).topics
      assert.deepStrictEqual(denied?.denied, ["eve"])
      assert.deepStrictEqual((yield* attach(two, userTopic("ana"), ["eve"])).topics[0]?.denied, ["eve"])
      yield* send("ana", channel, "m")
      yield* until(
        "the first edge has it",
        Effect.sync(() => one.items.length > 0)
      )
      assert.deepStrictEqual(two.items, [])
    }).pipe(Effect.scoped, Effect.provide(layerMemoryWorld))
  )

  const gate = Deferred.makeUnsafe<void>()
  const layerSlowSessions = Layer.effect(
    Directory,
    Effect.map(Directory, (directory) =>
      Directory.of({
        ...directory,
        session: (user) =>
          user === "slow" ? Effect.andThen(Deferred.await(gate), directory.session(user)) : directory.session(user)
      })
    )
  )

  it.live("†8 loses nothing between the head that it names and its answer, however long the batch takes", () =>
    Effect.gen(function* () {
      const { calls, create, edge, send } = yield* world
      yield* create("ana", channel, ["ana"])
      const one = yield* edge("e1")
      const shard = calls.shardOf(channel)
      // The second topic takes its time: the owner has to ask the store.
      const heads: Array<number> = []
      calls.attach(
        {
          shard,
          edge: one.name,
          topics: [
            { topic: channelTopic(channel), users: ["ana"] },
            { topic: userTopic("slow"), users: ["slow"] }
          ]
        },
        (reply) => {
          if ("ok" in reply) heads.push(...reply.ok.topics.map(({ head }) => head))
        }
      )
      const { seq } = yield* send("ana", channel, "meanwhile")
      yield* until(
        "it is shown",
        Effect.sync(() => one.items.some((item) => item._tag === "Event" && item.to === seq))
      )
      yield* Deferred.succeed(gate, undefined)
      yield* until(
        "the attach is answered",
        Effect.sync(() => heads.length > 0)
      )
      assert.strictEqual(heads[0], seq - 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        // One shard, so that both topics are in it.
        layerRuntime({ shardCount: 1 }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provide(layerSlowSessions),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )
})

describe("what a member has to read", () => {
  it.live("†13 is what others wrote after his cursor: his own messages are not in it and do not move it", () =>
    Effect.gen(function* () {
      const { create, send } = yield* world
      yield* create("ana", channel, ["ana", "ben"])
      yield* send("ben", channel, "read me")
      yield* send("ana", channel, "a quick reply")
      yield* send("ben", channel, "me too")
      const head = (yield* synced("ana", null))?.head
      assert.deepStrictEqual([head?.unread, head?.cursor.seq], [2, 0])
      assert.strictEqual((yield* synced("ben", null))?.head.unread, 1)
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†14 is covered from where his device is to the head, also what was before he came", () =>
    Effect.gen(function* () {
      const { create, history, send } = yield* world
      yield* create("ana", channel, ["ana"])
      for (let i = 0; i < 5; i++) yield* send("ana", channel, "before")
      const { seq } = yield* change("add_members", "ben")
      yield* send("ana", channel, "after")
      const sync = yield* synced("ben", { generation: 1, seq: 0 })
      assert.deepStrictEqual([sync?.from, sync?.to, sync?.head.seq], [0, seq + 1, seq + 1])
      assert.deepStrictEqual(
        sync?.events.map((event) => event.seq),
        [seq, seq + 1]
      )
      const page = yield* history("ben", channel)
      assert.deepStrictEqual([page.from, page.to, page.before], [seq - 1, seq + 1, false])
      assert.deepStrictEqual(
        page.events.map(({ text }) => text),
        ["after"]
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†15 is nothing once he was removed, and not what lies between two stays", () =>
    Effect.gen(function* () {
      const { ask, create, history, send, sync } = yield* world
      yield* create("ana", channel, ["ana", "ben"])
      yield* send("ana", channel, "first stay")
      const removed = yield* change("remove_members", "ben")
      yield* send("ana", channel, "between")
      const code = <A>(effect: Effect.Effect<A, { readonly failure: { readonly code: string } }>) =>
        Effect.map(Effect.flip(effect), ({ failure }) => failure.code)
      const cursor = { generation: 0, seq: 0 }
      assert.strictEqual(yield* code(history("ben", channel)), "not_found")
      assert.strictEqual(yield* code(ask(channel, { _tag: "Unread", user: "ben", channel, cursor })), "not_found")
      assert.deepStrictEqual(yield* sync("ben", channel, { generation: 1, seq: 1 }), {
        _tag: "Lost",
        channel,
        seq: removed.seq
      })
      yield* change("add_members", "ben")
      yield* send("ana", channel, "second stay")
      assert.deepStrictEqual(
        (yield* history("ben", channel)).events.map(({ text }) => text),
        ["second stay"]
      )
      assert.notInclude(JSON.stringify(yield* synced("ben", { generation: 1, seq: 1 })), "between")
      assert.strictEqual((yield* synced("ben", null))?.head.unread, 1)
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†16 has no text of what was deleted: from the tail, by replay, or from the store", () =>
    Effect.gen(function* () {
      const { calls, create, history, mutate, send } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", channel, ["ana", "ben"])
      const { seq } = yield* send("ana", channel, "secret")
      yield* mutate("ana", { op: "edit", channel, cid: newId(), target: seq, text: "secret still", mentions: [] })
      yield* mutate("ana", { op: "delete", channel, cid: newId(), target: seq })
      const nothing = Effect.gen(function* () {
        const sync = yield* synced("ben", { generation: 1, seq: 1 })
        assert.strictEqual(sync?.events.length, 3)
        assert.notInclude(JSON.stringify([sync, yield* history("ben", channel)]), "secret")
      })
      yield* nothing
      const shard = calls.shardOf(channel)
      runner.drop(shard)
      runner.setLease(shard, performance.now() + 60_000)
      yield* runner.open(shard, 0)
      yield* nothing
      const messages = yield* MessageStore
      yield* until(
        "the store has it",
        messages.events(channel, 0, 99, 99).pipe(
          Effect.map((events) => events.length === 4),
          Effect.orDie
        )
      )
      assert.notInclude(JSON.stringify(yield* messages.events(channel, 0, 99, 99)), "secret")
      assert.isTrue(runner.owner(shard)?.channels.residents.passivate(channel) !== undefined)
      yield* nothing
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})

describe("a page of history", () => {
  /** A store that answers with what it had when it was asked, but only later. */
  const asked = { times: 0, gate: Deferred.makeUnsafe<void>() }
  const layerLateRows = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        messages: (...args) =>
          Effect.gen(function* () {
            const rows = yield* store.messages(...args)
            if (++asked.times === 1) yield* Deferred.await(asked.gate)
            return rows
          })
      })
    )
  )

  it.live("†31 has what changed its rows above the floor, and is read again where the tail was cut meanwhile", () =>
    Effect.gen(function* () {
      const { calls, create, history, mutate, send } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", channel, ["ana"])
      const state = () => runner.owner(calls.shardOf(channel))?.channels.residents.peek(channel)?.state
      yield* until(
        "it is resident",
        Effect.sync(() => state() !== undefined)
      )
      // A tail of a few events, so that it is cut soon.
      Object.assign(state()?.tail ?? {}, { eventsMax: 4 })
      for (let i = 0; i < 12; i++) yield* send("ana", channel, `m${i}`)
      yield* until(
        "the tail is cut",
        Effect.sync(() => (state()?.tailFrom ?? 0) >= 8)
      )
      const texts: Array<string> = []
      const reading = yield* history("ana", channel, { before: 5 }).pipe(
        Effect.tap(({ events }) => Effect.sync(() => texts.push(...events.map(({ text }) => text)))),
        Effect.forkChild
      )
      yield* until(
        "the store was asked",
        Effect.sync(() => asked.times === 1)
      )
      const before = state()?.tailFrom ?? 0
      yield* mutate("ana", { op: "edit", channel, cid: newId(), target: 2, text: "edited", mentions: [] })
      for (let i = 0; i < 12; i++) yield* send("ana", channel, "and on")
      yield* until(
        "the tail no longer has the edit",
        Effect.sync(() => (state()?.tailFrom ?? 0) > before + 12)
      )
      yield* Deferred.succeed(asked.gate, undefined)
      yield* until(
        "it is read",
        Effect.sync(() => texts.length > 0)
      )
      assert.deepStrictEqual(texts, ["edited", "m1", "m2"])
      assert.isAbove(asked.times, 1)
      assert.isDefined(reading)
    }).pipe(
      Effect.provide(
        layerRuntime({ shardCount }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provide(layerLateRows),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )
})
