/** Mentions that the store counts, with no member fan-out at all: they are as far as the floor is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerLocalCluster } from "@parley/actors/cluster/LocalCluster"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import type { UnreadCounts } from "@parley/actors/owner/OwnerProtocol"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerPersister } from "../../src/workers/Persister.ts"
import { newId, shardCount, untilCold, world } from "./World.ts"

const channel = "group:one"
/** More than a channel that comes from the store has in its tail, also when that is filled up. */
const messages = 250

const layerWithoutFanout = layerPersister.pipe(
  Layer.provideMerge(layerLocalCluster({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } })),
  Layer.provideMerge(LocalBus.layer({ shardCount })),
  Layer.provideMerge(CommitSignal.layer),
  Layer.provideMerge(ParkedOperations.layer),
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)

describe("mentions, counted with the store's help", () => {
  it.live("are those of all that the store has, whatever the member fan-out has come to", () =>
    Effect.gen(function* () {
      const { ask, create, mutate, send } = yield* world
      yield* create("ana", channel, ["ana", "ben"])
      const name = () => mutate("ana", { op: "send", channel, cid: newId(), text: "@ben", mentions: ["ben"] })
      const first = yield* name()
      yield* name()
      for (let at = 0; at < messages; at++) yield* send("ana", channel, `m${at}`)
      const cursor = { generation: 0, seq: 0 }
      const mentions = ask<UnreadCounts>(channel, { _tag: "Unread", user: "ben", channel, cursor }).pipe(
        Effect.map((counts) => counts.mentions)
      )
      yield* untilCold(channel)
      assert.strictEqual(yield* mentions, 2)
      yield* mutate("ana", { op: "edit", channel, cid: newId(), target: first.seq, text: "nobody", mentions: [] })
      for (let at = 0; at < messages; at++) yield* send("ana", channel, `n${at}`)
      yield* untilCold(channel)
      assert.strictEqual(yield* mentions, 1)
    }).pipe(Effect.provide(layerWithoutFanout))
  )
})
