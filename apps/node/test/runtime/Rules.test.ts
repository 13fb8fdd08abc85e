import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { shardEntities } from "@parley/actors/cluster/ShardEntities"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import type { OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { Directory } from "@parley/storage/Directory"
import { Inbox, type InboxPlace } from "@parley/storage/Inbox"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Sharding } from "effect/cluster"
import { layerRuntime } from "../../src/Runtime.ts"
import { checkShards } from "../../src/ShardCount.ts"
import { callerOf, layerMemoryWorld, newId, shardCount, until, untilCold, world } from "./World.ts"

describe("placement", () => {
  it.live("†2 a data directory is opened with the number of shards it was made with, or not at all", () =>
    Effect.gen(function* () {
      const directory = mkdtempSync(join(tmpdir(), "parley-shards-"))
      yield* checkShards(directory, 8)
      yield* checkShards(directory, 8)
      const error = yield* Effect.flip(checkShards(directory, 16))
      assert.include(error.message, "--shards 8")
    })
  )

  it.live("an entity is on the shard of its id, for Effect's sharding too", () =>
    Effect.gen(function* () {
      const sharding = yield* Sharding.Sharding
      const { channel } = shardEntities(shardCount)
      for (let i = 0; i < 500; i++) {
        // The cluster brands what is a plain string here.
        const id = `group:c${i}` as Parameters<typeof sharding.getShardId>[0]
        const shard = yield* channel.getShardId(id)
        assert.strictEqual(shard.toString(), `${shardOf(id, shardCount)}:1`)
      }
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})

describe("†4 positions", () => {
  it.live("a device that holds another generation is told to reload, whatever its seq", () =>
    Effect.gen(function* () {
      const { create, send, sync } = yield* world
      yield* create("ana", "group:one", ["ana"])
      yield* send("ana", "group:one", "m")
      const reload = (held: { generation: number; seq: number }) =>
        sync("ana", "group:one", held).pipe(
          Effect.map((result) => (result?._tag === "Sync" ? (JSON.parse(result.sync).reload as boolean) : undefined)) // our own encoding
        )
      assert.strictEqual(yield* reload({ generation: 1, seq: 1 }), false)
      assert.strictEqual(yield* reload({ generation: 2, seq: 1 }), true)
      assert.strictEqual(yield* reload({ generation: 0, seq: 2 }), true)
      assert.strictEqual(yield* reload({ generation: 1, seq: 99 }), true)
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})

describe("†7 an attach", () => {
  it.live("denies nobody because the store can't be asked: the topic is left out, and granted later", () =>
    Effect.gen(function* () {
      const away = { now: false }
      const stores = yield* Layer.build(layerMemoryStores)
      const channels = Context.get(stores, ChannelStore)
      const failing = ChannelStore.of({
        ...channels,
        load: (load) =>
          away.now
            ? Effect.fail(new StoreUnavailable({ store: "test", cause: new Error("away") }))
            : channels.load(load)
      })
      const bounds = { residentBytesMax: 1, warmBytesMax: 1 }
      const layer = layerRuntime({ shardCount, bounds }).pipe(
        Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
        Layer.provideMerge(Layer.succeedContext(Context.add(stores, ChannelStore, failing)))
      )
      yield* Effect.gen(function* () {
        const { attach, create, edge } = yield* world
        yield* create("ana", "group:one", ["ana"])
        yield* untilCold("group:one")
        const one = yield* edge("e1")
        away.now = true
        assert.deepStrictEqual((yield* attach(one, "c/group:one", ["ana"])).topics, [])
        away.now = false
        const [granted] = (yield* attach(one, "c/group:one", ["ana"])).topics
        assert.deepStrictEqual(granted, { topic: "c/group:one", head: 1, generation: 1, denied: [] })
      }).pipe(Effect.scoped, Effect.provide(layer))
    }).pipe(Effect.scoped)
  )
})

describe("†17 the lease", () => {
  it.live("an owner whose lease has passed answers nothing, reads included, until it is refreshed", () =>
    Effect.gen(function* () {
      const { calls, create } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", "group:one", ["ana"])
      const shard = calls.shardOf("group:one")
      const ask = () => {
        let answered = "nothing"
        const request = {
          _tag: "Unread",
          user: "ana",
          channel: "group:one",
          cursor: { generation: 0, seq: 0 }
        } as const
        runner.request(
          shard,
          runner.epochOf(shard),
          request,
          () => (answered = "reply"),
          () => (answered = "not mine")
        )
        return answered
      }
      assert.strictEqual(ask(), "reply")
      runner.setLease(shard, performance.now() - 1)
      assert.strictEqual(ask(), "not mine")
      runner.setLease(shard, performance.now() + 60_000)
      assert.strictEqual(ask(), "reply")
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†17 an owner answers 'not mine' to a request that names another epoch, or an id of another shard", () =>
    Effect.gen(function* () {
      const { attach, calls, create, edge, send } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", "group:one", ["ana"])
      const shard = calls.shardOf("group:one")
      const other = (id: (i: number) => string) =>
        Array.from({ length: 99 }, (_, i) => id(i)).find((it) => calls.shardOf(it) !== shard) ?? ""
      const answers = (epoch: number, request: OwnerRequest) => {
        let answered = "nothing"
        runner.request(
          shard,
          epoch,
          request,
          () => (answered = "reply"),
          () => (answered = "not mine")
        )
        return answered
      }
      const unread = (channel: string): OwnerRequest => ({
        _tag: "Unread",
        user: "ana",
        channel,
        cursor: { generation: 0, seq: 0 }
      })
      const before = runner.epochOf(shard)
      assert.strictEqual(answers(before, unread("group:one")), "reply")
      assert.strictEqual(answers(before, unread(other((i) => `group:x${i}`))), "not mine")
      const user = other((i) => `u${i}`)
      assert.strictEqual(answers(before, { _tag: "Open", user, after: { generation: 0, seq: 0 } }), "not mine")
      assert.strictEqual(answers(before, { _tag: "InspectPresence", shard: shard === 1 ? 2 : 1 }), "not mine")
      runner.drop(shard)
      runner.setLease(shard, performance.now() + 60_000)
      yield* runner.open(shard, 0)
      assert.isAbove(runner.epochOf(shard), before)
      assert.strictEqual(answers(before, unread("group:one")), "not mine")
      let attached = "nothing"
      runner.attach(
        before,
        { shard, edge: "e1", topics: [{ topic: "c/group:one", users: ["ana"] }] },
        () => (attached = "reply"),
        () => (attached = "not mine")
      )
      assert.strictEqual(attached, "not mine")
      // Callers still believe in the epoch before: their calls find the new owner all the same.
      assert.strictEqual((yield* send("ana", "group:one", "m")).seq, 2)
      assert.strictEqual((yield* attach(yield* edge("e1"), "c/group:one", ["ana"])).epoch, runner.epochOf(shard))
    }).pipe(Effect.scoped, Effect.provide(layerMemoryWorld))
  )

  /** A message store whose reads wait until they are let through. */
  const gate = Deferred.makeUnsafe<void>()
  const layerSlowReads = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        messages: (...args) => Effect.andThen(Deferred.await(gate), store.messages(...args))
      })
    )
  )

  it.live("†18 a lease that ends while the store is asked ends the step too", () =>
    Effect.gen(function* () {
      const { calls, create, send } = yield* world
      const { runner } = yield* LocalRunnerService
      const faults = yield* MemoryEventLogFaults
      yield* create("ana", "group:one", ["ana"])
      for (let i = 0; i < 60; i++) yield* send("ana", "group:one", `m${i}`)
      const shard = calls.shardOf("group:one")
      const owner = runner.owner(shard)
      // Loaded from the store again, with a tail that no longer has the first message.
      yield* untilCold("group:one")
      const before = faults.records(shard).length
      let answered = "nothing"
      const edit = { op: "edit", channel: "group:one", cid: newId(), target: 2, text: "edited", mentions: [] } as const
      runner.request(
        shard,
        runner.epochOf(shard),
        { _tag: "Mutate", caller: callerOf("ana"), mutation: edit, admin: false },
        () => (answered = "reply"),
        () => (answered = "not mine")
      )
      yield* until(
        "the store is asked",
        Effect.sync(() => owner?.channels.residents.peek("group:one")?.holds === 1)
      )
      runner.setLease(shard, performance.now() - 1)
      yield* Deferred.succeed(gate, undefined)
      yield* until(
        "it is answered",
        Effect.sync(() => answered !== "nothing")
      )
      assert.strictEqual(answered, "not mine")
      assert.strictEqual(faults.records(shard).length, before)
    }).pipe(
      Effect.provide(
        layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provide(layerSlowReads),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )
})

describe("†10 †11 the member fan-out", () => {
  it.live("†10 an inbox is what of one's own channels is not read, and unread comes from heads, not from it", () =>
    Effect.gen(function* () {
      const { ask, create, open, send, sync } = yield* world
      const inboxOf = (user: string, asOf = 1_000) =>
        ask<ReadonlyArray<InboxPlace>>(user, { _tag: "Inbox", user, asOf }).pipe(
          Effect.map((places) => places.toSorted((a, b) => b.place - a.place).map(({ channel }) => channel))
        )
      const read = (user: string, channel: string, seq: number) =>
        ask(user, {
          _tag: "MoveCursor",
          caller: callerOf(user),
          channel,
          seq,
          unread: 0,
          mentions: 0,
          head: seq,
          generation: null
        })
      const channels = ["group:one", "group:two", "group:three"]
      for (const channel of channels) yield* create("ana", channel, ["ana", "ben"])
      yield* create("ana", "group:other", ["ana"])
      yield* until(
        "ben is in them",
        Effect.map(open("ben"), (view) => view.channels.length === channels.length)
      )
      assert.deepStrictEqual(yield* inboxOf("ben"), [])
      const comes = (channel: string) =>
        until(
          `${channel} comes`,
          Effect.map(inboxOf("ana"), ([first]) => first === channel)
        )
      for (const channel of ["group:one", "group:other", "group:two"]) {
        for (let i = 0; i < 3; i++) yield* send("ana", channel, `m${i}`)
        yield* comes(channel)
      }
      assert.deepStrictEqual(yield* inboxOf("ben"), ["group:two", "group:one"])
      yield* send("ana", "group:one", "m3")
      yield* comes("group:one")
      assert.deepStrictEqual(yield* inboxOf("ben"), ["group:one", "group:two"])

      // Reading takes it out, at once; what is unread is not asked of it.
      yield* read("ben", "group:one", 4)
      yield* read("ben", "group:two", 4)
      assert.deepStrictEqual(yield* inboxOf("ben"), ["group:one"])
      const synced = yield* sync("ben", "group:two", null)
      assert.strictEqual(synced?._tag === "Sync" ? JSON.parse(synced.sync).head.unread : 0, 3) // our own encoding

      // Marked unread it is in there again, but not for pages that were begun before.
      const { position } = yield* open("ben")
      yield* ask("ben", {
        _tag: "MarkUnread",
        caller: callerOf("ben"),
        channel: "group:two",
        seq: 2,
        cid: newId(),
        unread: 2,
        mentions: 0,
        head: 4
      })
      assert.deepStrictEqual(yield* inboxOf("ben"), ["group:one", "group:two"])
      assert.deepStrictEqual(yield* inboxOf("ben", position.seq), ["group:one"])
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  /** Inboxes that keep the fan-out waiting until they are let through; the persister does not write them. */
  const late = Deferred.makeUnsafe<void>()
  const layerLateFanout = Layer.effect(
    Inbox,
    Effect.map(Inbox, (store) =>
      Inbox.of({ ...store, active: (messages) => Effect.andThen(Deferred.await(late), store.active(messages)) })
    )
  )

  it.live("†11 each is told what an event says of him, as of its own seq, however far ahead the directory is", () =>
    Effect.gen(function* () {
      const { create, mutate, open } = yield* world
      const directory = yield* Directory
      const mention = (text: string, mentions: ReadonlyArray<string>) =>
        mutate("ana", { op: "send", channel: "group:one", cid: newId(), text, mentions })
      yield* create("ana", "group:one", ["ana", "ben", "eve"])
      yield* mention("all who were in it then", ["ben", "eve"])
      yield* mutate("ana", { op: "remove_members", channel: "group:one", cid: newId(), members: ["eve"] })
      yield* mutate("ana", { op: "add_members", channel: "group:one", cid: newId(), members: ["cem"] })
      const stayOf = (user: string) => Effect.orDie(directory.membership("group:one", user))
      yield* until(
        "the directory is ahead of the message",
        Effect.all([stayOf("eve"), stayOf("cem")]).pipe(
          Effect.map(([eve, cem]) => eve[0]?.to === 3 && cem.length === 1)
        )
      )
      const toldOf = (user: string) =>
        Effect.map(
          open(user, { generation: 1, seq: 0 }),
          ({ personal }) => personal.map((text) => JSON.parse(text) as { readonly kind: string; readonly seq: number }) // our own encoding
        ).pipe(Effect.map((events) => events.map(({ kind, seq }) => `${kind} ${seq}`)))
      assert.notInclude(yield* toldOf("eve"), "mentioned 2")
      yield* Deferred.succeed(late, undefined)
      yield* until(
        "cem is told",
        Effect.map(toldOf("cem"), (told) => told.length > 0)
      )
      yield* until(
        "eve is told",
        Effect.map(toldOf("eve"), (told) => told.includes("removed 3"))
      )
      yield* until(
        "ben is told, in whatever order",
        Effect.map(toldOf("ben"), (told) => told.length > 1)
      )
      assert.sameMembers([...(yield* toldOf("eve"))], ["added 1", "mentioned 2", "removed 3"])
      assert.sameMembers([...(yield* toldOf("ben"))], ["added 1", "mentioned 2"])
      assert.deepStrictEqual(yield* toldOf("cem"), ["added 4"])
    }).pipe(
      Effect.provide(
        layerRuntime({ shardCount }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provide(layerLateFanout),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )
})
