import { assert, describe, it } from "@effect/vitest"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Fiber, Layer, Result } from "effect"
import { decodeCheckpoint } from "../../src/log/Checkpoint.ts"
import { decodeRecord } from "../../src/log/Record.ts"
import type { ChannelMutation } from "../../src/owner/OwnerProtocol.ts"
import type { OwnerBounds } from "../../src/owner/OwnerContext.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const caller = { user: "ann", device: "d", connection: 1, edge: "e" }

let ids = 0
const cid = (): string => {
  const time = Date.now().toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(ids++).padStart(12, "0")}`
}

/** A runner that owns the one shard, with nobody to consume its log. */
const owned = Effect.fnUntraced(function* (bounds: Partial<OwnerBounds> = {}) {
  const log = yield* EventLog
  const runner = yield* oneShardRunner({}, { bounds })
  yield* runner.open(shard, 1)
  const mutate = (mutation: ChannelMutation) =>
    Effect.callback<void>((resume) =>
      runner.request(
        shard,
        runner.owner(shard)?.epoch ?? 0,
        { _tag: "Mutate", caller, mutation, admin: false },
        (reply) => resume("ok" in reply ? Effect.void : Effect.die(reply.failure)),
        () => resume(Effect.die("not mine"))
      )
    )
  const create = (channel: string) =>
    mutate({ op: "create", channel, cid: cid(), name: channel, topic: "", members: [] })
  const send = (channel: string, text: string) => mutate({ op: "send", channel, cid: cid(), text, mentions: [] })
  /** Channels in the newest checkpoint. */
  const checkpointed = Effect.gen(function* () {
    const owner = runner.owner(shard)
    owner?.checkpoints.write()
    yield* owner?.log.flush() ?? Effect.void
    const records = (yield* log.readAfter(shard, 0, 100_000_000)).map(({ bytes }) =>
      Result.getOrThrow(decodeRecord(bytes))
    )
    const newest = records.findLast(({ kind }) => kind === "full")
    return newest === undefined ? [] : decodeCheckpoint(newest.body).snapshots.map(({ id }) => id)
  })
  return { create, send, checkpointed, runner }
})

/** Takes its time for each append, as one over a network does. */
const slowLog = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) =>
    EventLog.of({
      ...log,
      append: (append) =>
        log.append({ ...append, settle: (outcome) => void setTimeout(() => append.settle(outcome), 20) })
    })
  )
).pipe(Layer.provide(MemoryEventLog.layer()))

const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("a checkpoint", () => {
  it.live("leaves out a hot channel that the store is far behind, and keeps the others that were active", () =>
    Effect.gen(function* () {
      const { checkpointed, create, send } = yield* owned()
      const quiet = ["group:a", "group:b", "group:c"]
      for (const channel of [...quiet, "group:hot"]) yield* create(channel)
      for (const channel of quiet) yield* send(channel, "hello")
      for (let i = 0; i < 600; i++) yield* send("group:hot", "x".repeat(2_000))
      assert.sameMembers(yield* checkpointed, quiet)
    }).pipe(Effect.provide(layers))
  )

  it.live("waits while a store that may be away is far behind a hot channel: the next owner replays it instead", () =>
    Effect.gen(function* () {
      const { checkpointed, create, send } = yield* owned({ checkpointBytes: 30_000, incrementalTicks: 2 })
      for (const channel of ["group:a", "group:hot"]) yield* create(channel)
      const many = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => send("group:hot", "x".repeat(2_000)))
      yield* many(10)
      const before = yield* checkpointed
      yield* many(70)
      // The newest is one from when it could be encoded.
      assert.include(before, "group:hot")
      assert.deepStrictEqual(yield* checkpointed, before)
      // What a takeover may have to replay is bounded.
      yield* many(130)
      assert.notInclude(yield* checkpointed, "group:hot")
    }).pipe(Effect.provide(layers))
  )

  it.live("is left by a shard that closes while it is written in without a pause", () =>
    Effect.gen(function* () {
      const { create, runner, send } = yield* owned()
      const log = yield* EventLog
      const channels = Array.from({ length: 8 }, (_, at) => `group:${at}`)
      for (const channel of channels) yield* create(channel)
      // Nobody waits for an ack before the next send, so that something always gathers while something is on its way.
      const sends = Effect.forEach(channels, (channel) => Effect.forkChild(Effect.suspend(() => send(channel, "x"))), {
        discard: true
      })
      const writer = yield* Effect.forkChild(Effect.forever(Effect.andThen(sends, Effect.sleep(3))))
      yield* runner.close(shard)
      assert.isUndefined(runner.owner(shard))
      const records = (yield* log.readAfter(shard, 0, 100_000_000)).map(({ bytes }) =>
        Result.getOrThrow(decodeRecord(bytes))
      )
      assert.isTrue(records.some(({ kind }) => kind === "full"))
      yield* Fiber.interrupt(writer)
    }).pipe(Effect.provide(Layer.mergeAll(slowLog, MemoryStores.layer)))
  )

  it.live("is kept whole by the next owner until the store has come as far, however little room there is", () =>
    Effect.gen(function* () {
      const channels = Array.from({ length: 40 }, (_, at) => `group:${at}`)
      const before = yield* owned()
      for (const channel of channels) yield* before.create(channel)
      assert.sameMembers(yield* before.checkpointed, channels)
      // Nobody writes behind: what is dropped here can't be had from anywhere.
      const { runner, send } = yield* owned({ residentBytesMax: 4_000, warmBytesMax: 4_000 })
      for (let turn = 0; turn < 2; turn++) for (const channel of channels) yield* send(channel, "hello")
      assert.strictEqual(runner.owner(shard)?.channels.residents.wokenCold, 0)
    }).pipe(Effect.provide(layers))
  )

  it.live("makes room for its newest last", () =>
    Effect.gen(function* () {
      const channels = Array.from({ length: 40 }, (_, at) => `group:${at}`)
      const before = yield* owned()
      for (const channel of channels) yield* before.create(channel)
      yield* before.checkpointed
      const { runner, send } = yield* owned({ residentBytesMax: 4_000, warmBytesMax: 6_000 })
      const owner = runner.owner(shard)
      owner?.setStored(1_000_000, [])
      yield* send("group:39", "hello")
      owner?.sweep()
      const kept = channels.filter((id) => owner?.channels.residents.warm(id) !== undefined)
      assert.isBelow(kept.length, channels.length - 1)
      assert.includeMembers(kept, ["group:38", "group:37"])
    }).pipe(Effect.provide(layers))
  )

  it.live("has a channel that was busy but is not far ahead of the store", () =>
    Effect.gen(function* () {
      const { checkpointed, create, send } = yield* owned()
      yield* create("group:a")
      for (let i = 0; i < 40; i++) yield* send("group:a", "x".repeat(200))
      assert.deepStrictEqual(yield* checkpointed, ["group:a"])
    }).pipe(Effect.provide(layers))
  )
})
