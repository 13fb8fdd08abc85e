/**
 * A record of the log that is not what was written, found while the shard is served or before: the shard is out of
 * service and says so, nothing of it is written or dropped, and the others go on (†24).
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layerComposed } from "@parley/storage/ChannelStore"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { EventLog } from "@parley/storage/EventLog"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
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

const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "parley-damage-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** The store's writes wait until the gate is open; `begun` is told of the first. */
const layerHeldWrites = (gate: Deferred.Deferred<void>, begun = Deferred.makeUnsafe<void>()) =>
  Layer.effect(
    MessageStore,
    Effect.map(MessageStore, (store) =>
      MessageStore.of({
        ...store,
        write: (events) =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Deferred.await(gate)),
            Effect.andThen(store.write(events))
          )
      })
    )
  ).pipe((held) => Layer.fresh(layerComposed).pipe(Layer.provideMerge(held), Layer.provideMerge(layerMemoryStores)))

const marked = "the text that is damaged"
const filler = "x".repeat(200_000)
/** Below it, so that it does not share a page with where the log is cut. */
const fillersBefore = 20
/** Above it, so that nothing of it is in memory: neither with the records committed last, nor in the file's cache. */
const fillersAfter = 120

/** Overwrites the text wherever the file, and the log that is written ahead of it, has it. Returns in how many places. */
const overwriteText = (file: string): number => {
  let count = 0
  // In this order: what goes from one into the other meanwhile is found in the second, or damaged already.
  for (const name of [`${file}-wal`, file]) {
    const bytes = readFileSync(name)
    const descriptor = openSync(name, "r+")
    for (let at = bytes.indexOf(marked); at !== -1; at = bytes.indexOf(marked, at + 1), count++) {
      writeSync(descriptor, Buffer.alloc(8, 0xa5), 0, 8, at)
    }
    closeSync(descriptor)
  }
  return count
}

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

  it.live(
    "on the disk, under a server that goes on, is found by who reads it, and neither shown, cut nor written over",
    () =>
      Effect.gen(function* () {
        const file = join(yield* temporaryDirectory, "log.sqlite")
        const [gate, begun] = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
        const layer = layerReadinessOfShards(shardCount).pipe(
          Layer.provideMerge(layerRuntime({ shardCount })),
          Layer.provideMerge(
            SqliteEventLog.layer({ file, softBytes: 100_000_000, hardBytes: 110_000_000, reserveBytes: 262_144 })
          ),
          Layer.provideMerge(layerHeldWrites(gate, begun))
        )
        yield* Effect.gen(function* () {
          const { calls, create, history, send } = yield* world
          const log = yield* EventLog
          const store = yield* MessageStore
          const { runner } = yield* LocalRunnerService
          const whole = wholeOf(calls.shardOf)
          const shard = calls.shardOf(broken)
          yield* create("ana", broken, ["ana"])
          // The persister has read up to here, and waits.
          yield* Deferred.await(begun)
          for (let sent = 0; sent < fillersBefore; sent++) yield* send("ana", broken, filler)
          const { seq: damaged } = yield* send("ana", broken, marked)
          for (let sent = 0; sent < fillersAfter; sent++) yield* send("ana", broken, filler)
          yield* create("ana", whole, ["ana"])
          assert.isAbove(overwriteText(file), 0)
          yield* Deferred.succeed(gate, undefined)
          yield* until(
            "it is found",
            Effect.sync(() => runner.quarantined.has(shard))
          )
          const what = runner.quarantined.get(shard) ?? ""
          assert.match(what, /^at \d+: the checksum does not match/)
          const place = Number(/\d+/.exec(what)?.[0])
          yield* outOfService(send("ana", broken, "m"))
          yield* outOfService(history("ana", broken))
          const { seq } = yield* send("ana", whole, "after the damage")
          const rows = (channel: string, after: number) =>
            store.messages(channel, { after, before: 999, limit: 9, newest: true })
          yield* until(
            "the other is stored",
            Effect.map(rows(whole, seq - 1), (stored) => stored.length === 1)
          )
          assert.deepStrictEqual(yield* rows(broken, damaged - 1), [])
          const damage = yield* Effect.flip(log.readAfter(shard, place - 1, 1))
          assert.deepInclude(damage, { _tag: "LogDamaged", position: place })
          assert.isBelow(yield* log.consumerPosition(persisterConsumer, shard), place)
        }).pipe(Effect.provide(layer))
      }).pipe(Effect.scoped)
  )

  it.live("below what an opening replays is found soon, and said in the same words", () =>
    Effect.gen(function* () {
      const closed = Deferred.makeUnsafe<void>()
      const base = yield* Layer.build(
        Layer.merge(MemoryEventLog.layer({ positions: "dense" }), layerHeldWrites(closed))
      )
      const during = <A, E>(use: Effect.Effect<A, E, OwnerCalls | LinkBus | LocalRunnerService>) =>
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
          yield* until(
            "it is found",
            Effect.sync(() => runner.quarantined.has(shard))
          )
          assert.match(runner.quarantined.get(shard) ?? "", new RegExp(`^at ${place}: `))
          yield* outOfService(history("ana", broken))
        })
      )
    }).pipe(Effect.scoped)
  )
})
