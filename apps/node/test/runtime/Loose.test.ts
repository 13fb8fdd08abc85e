/** Consumers that do not hold the log: one that is dead stops nobody, and catches up from the store (†3). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { catchUpFromStore } from "@parley/actors/fanout/CatchUp"
import { cutOf, LooseConsumers, memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { runConsumer } from "@parley/actors/fanout/LogConsumer"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog, MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { cutLog } from "../../src/workers/LogCut.ts"
import { shardCount, until, world } from "./World.ts"

class Dead extends Schema.TaggedError<Dead>()("Dead", {}) {}

const webhooks = "webhooks"
const softBytes = 800_000

const layerSmallLog = layerRuntime({ shardCount }).pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense", softBytes, hardBytes: softBytes * 4 })),
  Layer.provideMerge(layerMemoryStores),
  Layer.provideMerge(Layer.succeed(LooseConsumers, [webhooks]))
)

/** A customer's webhook: what it got of each channel, and whether it answers. */
const webhook = Effect.gen(function* () {
  const calls = yield* OwnerCalls
  const got = new Map<string, Set<number>>()
  const state = { dead: false, caughtUp: 0 }
  const give = (channel: string, seqs: ReadonlyArray<number>) =>
    Effect.suspend(() => {
      if (state.dead) return Effect.fail(new Dead())
      const known = got.get(channel) ?? new Set<number>()
      got.set(channel, known)
      for (const seq of seqs) known.add(seq)
      return Effect.void
    })
  const context = yield* Effect.context<Layer.Success<typeof layerMemoryStores>>()
  yield* runConsumer({
    name: webhooks,
    shardCount: calls.shardCount,
    apply: (_shard, consumed) =>
      Effect.forEach(consumed, ({ entry }) => (entry.topic === "channel" ? give(entry.id, [entry.seq]) : Effect.void), {
        discard: true
      }),
    catchUp: (shard) =>
      catchUpFromStore({
        shard,
        shardCount: calls.shardCount,
        known: (channel) => Effect.succeed(Math.max(0, ...(got.get(channel) ?? []))),
        apply: (channel, events) =>
          give(
            channel,
            events.map(({ seq }) => seq)
          ).pipe(Effect.tap(() => Effect.sync(() => state.caughtUp++)))
      }).pipe(
        Effect.provide(context),
        Effect.catch(() => new Dead())
      )
  })
  return { got, state }
})

/** Lets the persister and the member fan-out come to the end of the shard, leaves a checkpoint, and cuts. */
const cut = (shard: number) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const { runner } = yield* LocalRunnerService
    const owner = runner.owner(shard)
    owner?.checkpoints.write()
    yield* owner?.log.flush() ?? Effect.void
    yield* until(
      "the store has it",
      Effect.gen(function* () {
        const last = yield* log.last(shard)
        if (last._tag === "None") return false
        const positions = yield* Effect.forEach([persisterConsumer, memberFanoutConsumer], (name) =>
          log.consumerPosition(name, shard)
        )
        return positions.every((position) => position >= last.value.position)
      }).pipe(Effect.orDie)
    )
    yield* cutLog(0, () => 0)
  })

describe("†3 consumers that are cut loose", () => {
  it.live(
    "†3 a dead webhook stops no send: the log is cut, and when it lives it catches up from the store",
    () =>
      Effect.gen(function* () {
        const { calls, create, send } = yield* world
        const log = yield* EventLog
        const { got, state } = yield* webhook
        const shard = calls.shardOf("group:one")
        yield* create("ana", "group:one", ["ana", "ben"])
        yield* until(
          "the webhook has it",
          Effect.sync(() => got.get("group:one")?.has(1) === true)
        )
        state.dead = true
        // Three times what the log takes; each send is acknowledged.
        const text = "x".repeat(2_000)
        const sends = (softBytes * 3) / text.length
        for (let i = 0; i < sends; i++) {
          yield* send("ana", "group:one", text)
          if (i % 60 === 59) yield* cut(shard)
        }
        assert.isAbove(yield* log.consumerPosition(cutOf(webhooks), shard), 0)
        const { bytes } = yield* log.usage
        assert.isBelow(bytes, softBytes)
        assert.strictEqual(got.get("group:one")?.size, 1)
        state.dead = false
        yield* until(
          "the webhook has all of it",
          Effect.sync(() => got.get("group:one")?.size === sends + 1)
        )
        assert.isAbove(state.caughtUp, 0)
        // From here on it follows the log again.
        const before = state.caughtUp
        const { seq } = yield* send("ana", "group:one", "and on")
        yield* until(
          "the webhook follows",
          Effect.sync(() => got.get("group:one")?.has(seq) === true)
        )
        assert.strictEqual(state.caughtUp, before)
      }).pipe(Effect.scoped, Effect.provide(layerSmallLog)),
    30_000
  )

  it.live("†3 while there is room the log waits for it, and for the persister it waits whatever the room", () =>
    Effect.gen(function* () {
      const { calls, create, send } = yield* world
      const log = yield* EventLog
      const faults = yield* MemoryEventLogFaults
      const { got, state } = yield* webhook
      const shard = calls.shardOf("group:one")
      yield* create("ana", "group:one", ["ana"])
      yield* until(
        "the webhook has it",
        Effect.sync(() => got.get("group:one")?.has(1) === true)
      )
      state.dead = true
      for (let i = 0; i < 5; i++) yield* send("ana", "group:one", `m${i}`)
      yield* cut(shard)
      assert.strictEqual(yield* log.consumerPosition(cutOf(webhooks), shard), 0)
      state.dead = false
      yield* until(
        "the webhook has all of it from the log",
        Effect.sync(() => got.get("group:one")?.size === 6)
      )
      assert.strictEqual(state.caughtUp, 0)
      // The persister's position is what a full log is cut below, not beyond.
      const stored = yield* log.consumerPosition(persisterConsumer, shard)
      faults.setBounds({ softBytes: 1, hardBytes: 10_000_000 })
      yield* cutLog(0, () => 0)
      const [first] = faults.records(shard)
      assert.isAtMost(first?.position ?? 0, stored + 1)
    }).pipe(Effect.scoped, Effect.provide(layerSmallLog))
  )

  it.live("†27 a quiet shard is cut below the checkpoint that it ends with, and is opened from it", () =>
    Effect.gen(function* () {
      const { calls, create, history, send } = yield* world
      const faults = yield* MemoryEventLogFaults
      const { runner } = yield* LocalRunnerService
      const { got } = yield* webhook
      const shard = calls.shardOf("group:one")
      yield* create("ana", "group:one", ["ana"])
      for (let i = 0; i < 5; i++) yield* send("ana", "group:one", `m${i}`)
      yield* until(
        "the webhook has it",
        Effect.sync(() => got.get("group:one")?.size === 6)
      )
      yield* until(
        "one record is left",
        Effect.map(cut(shard), () => faults.records(shard).length === 1)
      )
      runner.drop(shard)
      runner.setLease(shard, performance.now() + 60_000)
      yield* runner.open(shard, 0)
      assert.strictEqual((yield* history("ana", "group:one")).events.length, 5)
      assert.strictEqual((yield* send("ana", "group:one", "and on")).seq, 7)
    }).pipe(Effect.scoped, Effect.provide(layerSmallLog))
  )
})
