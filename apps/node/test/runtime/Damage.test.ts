/**
 * A record of the log that is not what was written, found while the shard is served or before: the shard is out of
 * service and says so, nothing of it is written or dropped, and the others go on (†24).
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import type { LocalBus } from "@parley/actors/fanout/LocalBus"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layerComposed } from "@parley/storage/ChannelStore"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { layerRuntime } from "../../src/Runtime.ts"
import { Readiness } from "../../src/http/HealthHttp.ts"
import { layerReadinessOfShards } from "../../src/ReadinessOfShards.ts"
import { layerMemoryWorld, shardCount, until, world } from "./World.ts"

const broken = "group:one"

/** Another channel, whose shard is neither that of the broken one nor of these users. */
const wholeOf = (shardOf: (id: string) => number): string => {
  const taken = new Set([broken, "ana"].map(shardOf))
  return Array.from({ length: 64 }, (_, at) => `group:w${at}`).find((id) => !taken.has(shardOf(id))) ?? ""
}

const outOfService = Effect.fnUntraced(function* <A>(
  ask: Effect.Effect<A, { readonly failure: { readonly code: string; readonly detail?: string } }>
) {
  const { failure } = yield* Effect.flip(ask)
  assert.strictEqual(failure.code, "unavailable")
  assert.match(failure.detail ?? "", /log is damaged/)
})

/** The store's writes wait until the gate is open. */
const layerHeldWrites = (gate: Deferred.Deferred<void>) =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        write: (events) => Effect.andThen(Deferred.await(gate), store.write(events))
      })
    )
  ).pipe((held) => Layer.fresh(layerComposed).pipe(Layer.provideMerge(held), Layer.provideMerge(layerMemoryStores)))

describe("†24 damage of the log", () => {
  it.live("that the owner meets takes the shard out of service, with an answer that says so", () =>
    Effect.gen(function* () {
      const { calls, create, history, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      const { runner } = yield* LocalRunnerService
      const whole = wholeOf(calls.shardOf)
      const shard = calls.shardOf(broken)
      for (const channel of [broken, whole]) yield* create("ana", channel, ["ana"])
      const place = faults.records(shard).length
      faults.damage(shard, place)
      faults.wrongSequenceNext(place, shard)
      // Its outcome is not known: the same id may find it, once the log is whole again.
      assert.strictEqual((yield* Effect.flip(send("ana", broken, "m"))).failure.code, "moved")
      const before = faults.records(shard)
      yield* outOfService(send("ana", broken, "m"))
      yield* outOfService(history("ana", broken))
      assert.match(runner.quarantined.get(shard) ?? "", new RegExp(`^at ${place}: `))
      assert.deepStrictEqual(faults.records(shard), before)
      assert.strictEqual((yield* send("ana", whole, "m")).seq, 2)
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  const gate = Deferred.makeUnsafe<void>()
  const layerHeld = layerReadinessOfShards(shardCount).pipe(
    Layer.provideMerge(layerRuntime({ shardCount })),
    Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
    Layer.provideMerge(layerHeldWrites(gate))
  )

  it.live("that a consumer meets takes the shard out of service too, and the others are stored", () =>
    Effect.gen(function* () {
      const { calls, create, history, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      const store = yield* MessageStore
      const { runner } = yield* LocalRunnerService
      const health = yield* Readiness
      const whole = wholeOf(calls.shardOf)
      const shard = calls.shardOf(broken)
      for (const channel of [broken, whole]) yield* create("ana", channel, ["ana"])
      yield* send("ana", broken, "m")
      faults.damage(shard, faults.records(shard).length)
      assert.deepStrictEqual(yield* health, { reasons: [], degraded: [] })
      yield* Deferred.succeed(gate, undefined)
      yield* until(
        "it is found",
        Effect.sync(() => runner.quarantined.has(shard))
      )
      const before = faults.records(shard)
      yield* outOfService(send("ana", broken, "m"))
      yield* outOfService(history("ana", broken))
      assert.deepStrictEqual(faults.records(shard), before)
      const { degraded, reasons } = yield* health
      assert.deepStrictEqual([reasons.length, degraded.length], [0, 1])
      assert.include(degraded[0] ?? "", `shard ${shard} of ${shardCount} is out of service`)
      const { seq } = yield* send("ana", whole, "after the damage")
      yield* until(
        "the other is stored",
        Effect.map(store.messages(whole, { after: 0, before: 99, limit: 9, newest: true }), (rows) =>
          rows.some((row) => row.seq === seq)
        )
      )
    }).pipe(Effect.provide(layerHeld))
  )

  it.live("below what an opening replays is found before the shard is served, and said in the same words", () =>
    Effect.gen(function* () {
      const closed = Deferred.makeUnsafe<void>()
      const base = yield* Layer.build(
        Layer.merge(MemoryEventLog.layer({ positions: "dense" }), layerHeldWrites(closed))
      )
      const during = <A, E>(use: Effect.Effect<A, E, OwnerCalls | LinkBus | LocalBus | LocalRunnerService>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const scope = yield* Effect.scope
            const context = yield* Layer.buildWithScope(Layer.fresh(layerRuntime({ shardCount })), scope)
            return yield* use.pipe(Effect.provide(context))
          })
        ).pipe(Effect.provide(base))
      const faults = yield* MemoryEventLogFaults.pipe(Effect.provide(base))
      const { place, shard } = yield* during(
        Effect.gen(function* () {
          const { calls, create, send } = yield* world
          const shard = calls.shardOf(broken)
          yield* create("ana", broken, ["ana"])
          yield* send("ana", broken, "m")
          return { shard, place: faults.records(shard).length }
        })
      )
      faults.damage(shard, place)
      yield* during(
        Effect.gen(function* () {
          const { history } = yield* world
          const { runner } = yield* LocalRunnerService
          assert.match(runner.quarantined.get(shard) ?? "", new RegExp(`^at ${place}: `))
          yield* outOfService(history("ana", broken))
        })
      )
    }).pipe(Effect.scoped)
  )
})
