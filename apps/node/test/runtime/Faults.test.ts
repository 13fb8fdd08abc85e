import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { LinkBus, type OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { ShardRoutes } from "@parley/actors/owner/ShardRoutes"
import { Runner } from "@parley/actors/owner/Runner"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { layerRuntime } from "../../src/Runtime.ts"
import { layerMemoryWorld, newId, shardCount, until, world } from "./World.ts"

const failureCode = <A>(effect: Effect.Effect<A, { readonly failure: { readonly code: string } }>) =>
  effect.pipe(
    Effect.flip,
    Effect.map((error) => error.failure.code)
  )

/** Another runner beside the first, on the same log, stores and bus. */
const secondRunner = (name: string) =>
  Effect.gen(function* () {
    const links = yield* LinkBus
    const signal = yield* CommitSignal
    const routes = yield* ShardRoutes
    const runner: Runner = new Runner({
      name,
      shardCount,
      log: yield* EventLog,
      stores: {
        channels: yield* ChannelStore,
        messages: yield* MessageStore,
        directory: yield* Directory,
        cursors: yield* CursorStore,
        inbox: yield* Inbox,
        parked: yield* ParkedEvents
      },
      publish: links.publish,
      onCommitted: signal.committed,
      onLost: (shard) => routes.disown(shard, runner)
    })
    signal.onStored((shard, position) => runner.owner(shard)?.setStored(position))
    return runner
  })

/** The other runner takes the shard, as after the first one's lease was lost; the first one is not told. */
const take = Effect.fnUntraced(function* (runner: Runner, shard: number) {
  const routes = yield* ShardRoutes
  runner.setLease(shard, performance.now() + 60_000)
  yield* runner.open(shard, 0)
  routes.own(shard, runner)
})

describe("†20 †21 what the log answers", () => {
  it.live("†20 a refused append fails its sends, and the next one takes their place", () =>
    Effect.gen(function* () {
      const { create, history, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      yield* create("ana", "group:one", ["ana"])
      faults.refuseNext("full")
      assert.strictEqual(yield* failureCode(send("ana", "group:one", "lost")), "log_full")
      const ack = yield* send("ana", "group:one", "kept")
      assert.strictEqual(ack.seq, 2)
      assert.strictEqual(ack.n, 1)
      assert.deepStrictEqual(
        (yield* history("ana", "group:one")).events.map((event) => event.text),
        ["kept"]
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  for (const written of [true, false]) {
    it.live(`†21 an ambiguous append that was ${written ? "" : "not "}written has one effect`, () =>
      Effect.gen(function* () {
        const { create, history, send } = yield* world
        const faults = yield* MemoryEventLogFaults
        yield* create("ana", "group:one", ["ana"])
        const cid = newId()
        faults.ambiguousNext({ written, times: 2 })
        const first = yield* send("ana", "group:one", "once", cid)
        const again = yield* send("ana", "group:one", "once", cid)
        assert.deepStrictEqual(first, again)
        assert.strictEqual((yield* history("ana", "group:one")).events.length, 1)
      }).pipe(Effect.provide(layerMemoryWorld))
    )
  }

  it.live("DURABLE-BEFORE-ACK: nothing is answered, shown or readable before the log has it", () =>
    Effect.gen(function* () {
      const { attach, create, edge, history, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      yield* create("ana", "group:one", ["ana", "ben"])
      const one = yield* edge("e1")
      yield* attach(one, "c/group:one", ["ben"])
      faults.hold()
      const acked = yield* Deferred.make<void>()
      const sending = yield* send("ana", "group:one", "m").pipe(
        Effect.andThen(Deferred.succeed(acked, undefined)),
        Effect.forkChild
      )
      yield* until(
        "the append is in flight",
        Effect.sync(() => faults.held() > 0)
      )
      assert.isFalse(yield* Deferred.isDone(acked))
      assert.strictEqual(one.items.length, 0)
      assert.strictEqual((yield* history("ben", "group:one")).events.length, 0)
      faults.release()
      yield* Fiber.join(sending)
      yield* until(
        "the event is shown",
        Effect.sync(() => one.items.length === 1)
      )
    }).pipe(Effect.scoped, Effect.provide(layerMemoryWorld))
  )
})

describe("†22 †23 two owners of one shard", () => {
  it.live("SINGLE-WRITER: the one that lost the shard is refused, and its sends are answered by the other", () =>
    Effect.gen(function* () {
      const { calls, create, history, send } = yield* world
      const { runner: first } = yield* LocalRunnerService
      yield* create("ana", "group:one", ["ana"])
      yield* send("ana", "group:one", "before")
      const shard = calls.shardOf("group:one")
      const second = yield* secondRunner("second")
      yield* take(second, shard)
      const routes = yield* ShardRoutes
      // The clients of the first one have not heard of it.
      routes.own(shard, first)
      const cid = newId()
      const sent = yield* Effect.exit(send("ana", "group:one", "by the old owner", cid))
      routes.own(shard, second)
      if (Exit.isFailure(sent)) yield* send("ana", "group:one", "by the old owner", cid)
      assert.isUndefined(first.owner(shard))
      const page = yield* history("ana", "group:one")
      assert.deepStrictEqual(
        page.events.map((event) => event.text),
        ["before", "by the old owner"]
      )
      assert.deepStrictEqual(
        page.events.map((event) => event.seq),
        [2, 3]
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("a hot channel moves 30 times under sends: nothing lost, nothing twice, one order", () =>
    Effect.gen(function* () {
      const { calls, create, history, send } = yield* world
      yield* create("ana", "group:hot", ["ana", "ben"])
      const shard = calls.shardOf("group:hot")
      const texts = Array.from({ length: 300 }, (_, i) => `m${i}`)
      const sending = yield* Effect.forEach(
        texts,
        (text) => {
          const cid = newId()
          return send("ana", "group:hot", text, cid).pipe(Effect.retry({ times: 20 }))
        },
        { concurrency: 8 }
      ).pipe(Effect.forkChild)
      for (let move = 0; move < 30; move++) yield* take(yield* secondRunner(`r${move}`), shard)
      const acks = yield* Fiber.join(sending)
      assert.deepStrictEqual(
        acks.map((ack) => ack.n).sort((a, b) => a - b),
        texts.map((_, i) => i + 1)
      )
      const seen: Array<string> = []
      for (let after = 0; ;) {
        const page = yield* history("ben", "group:hot", { after, limit: 100 })
        seen.push(...page.events.map((event) => event.text))
        after = page.to
        if (!page.after) break
      }
      assert.deepStrictEqual([...seen].sort(), [...texts].sort())
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})

describe("restart", () => {
  it.live("history, unread, sessions and ids survive a stop and a start of everything but log and stores", () =>
    Effect.gen(function* () {
      const base = yield* Layer.build(Layer.merge(MemoryEventLog.layer({ positions: "dense" }), layerMemoryStores))
      const during = <A, E>(use: Effect.Effect<A, E, OwnerCalls | LinkBus>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const scope = yield* Effect.scope
            const context = yield* Layer.buildWithScope(Layer.fresh(layerRuntime({ shardCount })), scope)
            return yield* use.pipe(Effect.provide(context))
          })
        ).pipe(Effect.provide(base))
      const cid = newId()
      const first = yield* during(
        Effect.gen(function* () {
          const { create, open, send } = yield* world
          yield* create("ana", "group:one", ["ana", "ben"])
          for (let i = 0; i < 20; i++) yield* send("ana", "group:one", `m${i}`)
          yield* until("ben is told", open("ben").pipe(Effect.map((view) => view.channels.length === 1)))
          return yield* send("ana", "group:one", "last", cid)
        })
      )
      yield* during(
        Effect.gen(function* () {
          const { history, open, send, sync } = yield* world
          assert.deepStrictEqual(yield* send("ana", "group:one", "last", cid), first)
          assert.strictEqual((yield* history("ben", "group:one")).events.length, 21)
          assert.strictEqual((yield* open("ben")).channels.length, 1)
          const synced = yield* sync("ben", "group:one", null)
          assert.strictEqual(synced?._tag, "Sync")
          if (synced?._tag === "Sync") assert.strictEqual(JSON.parse(synced.sync).head.unread, 21)
        })
      )
    }).pipe(Effect.scoped)
  )
})
