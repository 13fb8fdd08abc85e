/** What a herd that comes back to a channel makes its owner ask of the store for who has read how far. */
import { assert, describe, it } from "@effect/vitest"
import { CursorStore } from "@parley/storage/CursorStore"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Effect, Layer } from "effect"
import type { SyncResult } from "../../src/owner/OwnerProtocol.ts"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:a"
const members = Array.from({ length: 20 }, (_, user) => `u${user}`)
const cid = `${Date.now()
  .toString(16)
  .padStart(12, "0")
  .replace(/^(.{8})/, "$1-")}-7000-8000-000000000000`
const caller = { user: "u0", device: "d", connection: 1, edge: "e" }

const answered = Effect.fnUntraced(function* (away: boolean) {
  const store = yield* CursorStore
  yield* store.merge("u3", [{ channel, position: { generation: 0, seq: 1 } }])
  const seen = { reads: 0, away }
  const cursors = CursorStore.of({
    ...store,
    ofChannel: (id) =>
      Effect.suspend(() => {
        seen.reads++
        return seen.away ? Effect.fail(new StoreUnavailable({ store: "test", cause: "away" })) : store.ofChannel(id)
      }).pipe(Effect.delay(20))
  })
  const runner = yield* oneShardRunner({ cursors })
  yield* runner.open(shard, 1)
  const create = { op: "create", channel, cid, name: "a", topic: "", members: members.slice(1) } as const
  yield* ask(runner, { _tag: "Mutate", caller, mutation: create, admin: false })
  const sync = (user: string) =>
    ask<ReadonlyArray<SyncResult>>(runner, {
      _tag: "Sync",
      user,
      items: [{ channel, cursor: { generation: 0, seq: 0 }, held: null }],
      eventsMax: 10,
      bytesMax: 100_000
    })
  const all = () =>
    Effect.forEach(members, sync, { concurrency: "unbounded" }).pipe(
      Effect.map((results) => results.flat().map((result) => (result._tag === "Sync" ? String(result.sync) : "")))
    )
  return { all, seen }
})

describe("the receipts of a channel", () => {
  it.live("are asked of the store once, however many come back to it at once", () =>
    Effect.gen(function* () {
      const { all, seen } = yield* answered(false)
      const texts = yield* all()
      assert.strictEqual(seen.reads, 1)
      for (const text of texts) assert.include(text, '"receipts":[{"user":"u3","delivered":1,"read":1}]')
      yield* all()
      assert.strictEqual(seen.reads, 1)
    }).pipe(Effect.provide(Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)))
  )

  it.live("keep nobody waiting where the store is away, and are asked for again by who comes later", () =>
    Effect.gen(function* () {
      const { all, seen } = yield* answered(true)
      for (const text of yield* all()) assert.include(text, '"receipts":[]')
      assert.strictEqual(seen.reads, 1)
      seen.away = false
      for (const text of yield* all()) assert.include(text, '"user":"u3"')
      assert.strictEqual(seen.reads, 2)
    }).pipe(Effect.provide(Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)))
  )
})
