/** Counts that the store has a part in, while the channel goes on: exact as of the head that they name. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import type { UnreadCounts } from "@parley/actors/owner/OwnerProtocol"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { layerRuntime } from "../../src/Runtime.ts"
import { newId, shardCount, until, untilCold, world } from "./World.ts"

const channel = "group:one"
/** More than a channel that comes from the store has in its tail. */
const messages = 60

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
