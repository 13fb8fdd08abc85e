/** Counts that the store has a part in, while the channel goes on: exact as of the head that they name. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { UnreadCounts } from "@parley/actors/owner/OwnerProtocol"
import { layerComposed } from "@parley/storage/ChannelStore"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { layerRuntime } from "../../src/Runtime.ts"
import { newId, shardCount, until, untilCold, world } from "./World.ts"

const channel = "group:one"
/** More than a channel that comes from the store has in its tail, also when that is filled up. */
const messages = 250

describe("unread, counted with the store's help", () => {
  const asked = Deferred.makeUnsafe<void>()
  const gate = Deferred.makeUnsafe<void>()
  const layerSlowCounts = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        countUnread: (...args) =>
          Deferred.succeed(asked, undefined).pipe(
            Effect.andThen(Deferred.await(gate)),
            Effect.andThen(store.countUnread(...args))
          )
      })
    )
  )

  it.live("is of the head that it names, though a delete is stored while the store counts", () =>
    Effect.gen(function* () {
      const { ask, create, mutate, send } = yield* world
      const store = yield* MessageStore
      yield* create("ana", channel, ["ana", "ben"])
      for (let at = 0; at < messages; at++) yield* send("ana", channel, `m${at}`)
      yield* untilCold(channel)
      const cursor = { generation: 0, seq: 0 }
      const counting = yield* Effect.forkChild(
        ask<UnreadCounts>(channel, { _tag: "Unread", user: "ben", channel, cursor })
      )
      yield* Deferred.await(asked)
      const deleted = yield* mutate("ana", { op: "delete", channel, cid: newId(), target: 2 })
      const row = { after: 1, before: 3, limit: 1, newest: true }
      yield* until(
        "the delete is stored",
        Effect.map(store.messages(channel, row), (rows) => rows[0]?.deleted === true)
      )
      yield* Deferred.succeed(gate, undefined)
      const { head, unread } = yield* Fiber.join(counting)
      assert.strictEqual(unread, head < deleted.seq ? messages : messages - 1)
    }).pipe(
      Effect.provide(
        layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
          Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
          Layer.provideMerge(layerSlowCounts),
          Layer.provideMerge(layerMemoryStores)
        )
      )
    )
  )
})

describe("a resume while the store can't be written", () => {
  /** The store's writes wait for it. */
  let gate: Deferred.Deferred<void> | undefined
  const layerHeldWrites = Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        write: (events) =>
          Effect.suspend(() => (gate === undefined ? Effect.void : Deferred.await(gate))).pipe(
            Effect.andThen(store.write(events))
          )
      })
    )
  ).pipe((held) => Layer.fresh(layerComposed).pipe(Layer.provideMerge(held), Layer.provideMerge(layerMemoryStores)))

  const layerHeldWorld = layerRuntime({ shardCount }).pipe(
    Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
    Layer.provideMerge(layerHeldWrites)
  )

  // More than a tail keeps of what is stored.
  const text = "x".repeat(14_000)
  const sent = 400

  it.live("is answered at once, with exact counts, though what it has not read was deleted meanwhile", () =>
    Effect.gen(function* () {
      const { calls, create, mutate, send, sync } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", channel, ["ana", "ben"])
      const first = yield* mutate("ana", { op: "send", channel, cid: newId(), text, mentions: ["ben"] })
      for (let at = 1; at < sent; at++) yield* send("ana", channel, text)
      const head = first.seq + sent - 1
      const state = () => runner.owner(calls.shardOf(channel))?.channels.residents.peek(channel)?.state
      yield* until(
        "the tail begins above what will be deleted",
        Effect.sync(() => (state()?.tailFrom ?? 0) > first.seq + 1)
      )
      gate = Deferred.makeUnsafe<void>()
      for (const target of [first.seq, first.seq + 1]) {
        yield* mutate("ana", { op: "delete", channel, cid: newId(), target })
      }
      const began = performance.now()
      const result = yield* sync("ben", channel, { generation: 1, seq: head })
      if (result?._tag !== "Sync") return assert.fail(JSON.stringify(result))
      assert.isBelow(performance.now() - began, 5_000)
      const { events, head: counted } = JSON.parse(result.sync) // our own encoding
      assert.deepStrictEqual(
        [events.map(({ kind }: { readonly kind: string }) => kind), counted.unread, counted.mentions],
        [["delete", "delete"], sent - 2, 0]
      )
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(layerHeldWorld))
  )

  it.live("counts the mentions as they will be stored, though edits changed who is named meanwhile", () =>
    Effect.gen(function* () {
      const { ask, calls, create, mutate, send } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", channel, ["ana", "ben"])
      const say = (mentions: ReadonlyArray<string>) =>
        mutate("ana", { op: "send", channel, cid: newId(), text, mentions }).pipe(Effect.map(({ seq }) => seq))
      const rewrite = (target: number, mentions: ReadonlyArray<string>) =>
        mutate("ana", { op: "edit", channel, cid: newId(), target, text: "edited", mentions })
      const [kept, taken, named, renamed, gone] = [
        yield* say(["ben"]),
        yield* say(["ben"]),
        yield* say([]),
        yield* say(["ben"]),
        yield* say(["ben"])
      ]
      for (let at = 5; at < sent; at++) yield* send("ana", channel, text)
      const state = () => runner.owner(calls.shardOf(channel))?.channels.residents.peek(channel)?.state
      yield* until(
        "the tail begins above what will be edited",
        Effect.sync(() => (state()?.tailFrom ?? 0) > gone)
      )
      const cursor = { generation: 0, seq: 0 }
      const counts = ask<UnreadCounts>(channel, { _tag: "Unread", user: "ben", channel, cursor })
      assert.deepInclude(yield* counts, { unread: sent, mentions: 4 })
      gate = Deferred.makeUnsafe<void>()
      yield* rewrite(kept, ["ben"])
      yield* rewrite(taken, [])
      yield* rewrite(named, ["ben"])
      yield* rewrite(renamed, [])
      yield* rewrite(renamed, ["ben"])
      yield* rewrite(gone, [])
      yield* mutate("ana", { op: "delete", channel, cid: newId(), target: gone })
      const held = yield* counts
      assert.deepInclude(held, { unread: sent - 1, mentions: 3 })
      yield* Deferred.succeed(gate, undefined)
      yield* until(
        "the store has all of it",
        Effect.sync(() => (state()?.floor ?? 0) >= held.head)
      )
      assert.deepStrictEqual(yield* counts, held)
    }).pipe(Effect.provide(layerHeldWorld))
  )
})
