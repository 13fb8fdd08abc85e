import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { newId, shardCount, until, world } from "./World.ts"

/** Nothing may stay: every entity goes cold as soon as the store has it. */
const layerTight = layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)

const channels = Array.from({ length: 12 }, (_, index) => `group:c${index}`)

const inMemory = Effect.gen(function* () {
  const { runner } = yield* LocalRunnerService
  let resident = 0
  let warm = 0
  for (const shard of runner.shards) {
    const owner = runner.owner(shard)
    owner?.sweep()
    resident += owner?.channels.residents.residentCount ?? 0
    warm += owner?.channels.residents.warmCount ?? 0
  }
  return { resident, warm }
})

describe("residency", () => {
  it.live("channels go cold under their bounds, and come back with seqs, counts, ids and members as they were", () =>
    Effect.gen(function* () {
      const { create, history, mutate, send, sync } = yield* world
      const runner = yield* LocalRunnerService
      const cold = inMemory.pipe(
        Effect.map(({ resident, warm }) => resident + warm === 0),
        Effect.provideService(LocalRunnerService, runner)
      )
      const firstIds = new Map<string, string>()
      for (const channel of channels) yield* create("ana", channel, ["ana", "ben"])
      for (let round = 0; round < 4; round++) {
        for (const channel of channels) {
          const cid = newId()
          if (round === 0) firstIds.set(channel, cid)
          const ack = yield* send("ana", channel, `m${round}`, cid)
          assert.deepStrictEqual([ack.seq, ack.n], [round + 2, round + 1])
        }
        yield* until("all are cold", cold)
      }
      for (const channel of channels) {
        const repeated = yield* send("ana", channel, "m0", firstIds.get(channel) ?? "")
        assert.strictEqual(repeated.seq, 2)
        yield* mutate("ana", { op: "delete", channel, cid: newId(), target: 3 })
      }
      yield* until("all are cold", cold)
      for (const channel of channels) {
        const page = yield* history("ben", channel)
        assert.deepStrictEqual(
          page.events.map((event) => event.text),
          ["m0", "", "m2", "m3"]
        )
        const synced = yield* sync("ben", channel, { generation: 1, seq: 1 })
        assert.strictEqual(synced?._tag, "Sync")
        if (synced?._tag !== "Sync") continue
        const answer = JSON.parse(synced.sync) // our own encoding
        assert.deepStrictEqual([answer.head.unread, answer.head.members, answer.from, answer.to], [3, 2, 1, 6])
        assert.deepStrictEqual(
          answer.events.map((event: { kind: string }) => event.kind),
          ["message", "message", "message", "message", "delete"]
        )
      }
    }).pipe(Effect.provide(layerTight))
  )

  it.live("†1 an entity with an uncommitted event does not passivate", () =>
    Effect.gen(function* () {
      const { calls, create, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      const { runner } = yield* LocalRunnerService
      yield* create("ana", "group:one", ["ana"])
      const residents = runner.owner(calls.shardOf("group:one"))?.channels.residents
      yield* until(
        "it is stored",
        Effect.sync(() => residents?.peek("group:one") === undefined || residents.passivate("group:one"))
      )
      faults.hold()
      const sending = yield* send("ana", "group:one", "m").pipe(Effect.forkChild)
      yield* until(
        "the append is in flight",
        Effect.sync(() => faults.held() > 0)
      )
      assert.strictEqual(residents?.passivate("group:one"), false)
      faults.release()
      yield* until(
        "it went cold",
        Effect.sync(() => residents?.peek("group:one") === undefined || residents.passivate("group:one"))
      )
      assert.isDefined(sending)
    }).pipe(Effect.provide(layerTight))
  )
})
