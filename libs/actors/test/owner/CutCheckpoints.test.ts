/** A takeover from a checkpoint that has a channel cut, because the store is far behind: what goes on, and what waits. */
import { assert, describe, it } from "@effect/vitest"
import { fromWire } from "@parley/protocol/WireText"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { EventLog } from "@parley/storage/EventLog"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Fiber, Layer, Result } from "effect"
import { channelLimitsDefault } from "../../src/channel/ChannelLimits.ts"
import { persisterConsumer } from "../../src/fanout/ConsumerNames.ts"
import { encodeParked } from "../../src/fanout/Parking.ts"
import { decodeRecord } from "../../src/log/Record.ts"
import type { ChannelAck, ChannelMutation, SyncResult } from "../../src/owner/OwnerProtocol.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:hot"
const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)
const messages = channelLimitsDefault.cutWindowIdsMax + 100
const startedAt = Date.now() - 60_000
const cidOf = (n: number): string => {
  const hex = (startedAt + n * 10).toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(n).padStart(12, "0")}`
}

const caller = { user: "ann", device: "d", connection: 1, edge: "e" }
const textOf = (n: number): string => `text ${n} `.padEnd(1_000, "x")
const mutate = (runner: Runner, mutation: ChannelMutation) =>
  ask<ChannelAck>(runner, { _tag: "Mutate", caller, admin: false, mutation })
const create = (runner: Runner) =>
  mutate(runner, { op: "create", channel, cid: cidOf(0), name: "hot", topic: "", members: [] })
const send = (runner: Runner, n: number) =>
  mutate(runner, { op: "send", channel, cid: cidOf(n), text: textOf(n), mentions: [] })
const sync = (runner: Runner, held: number) =>
  ask<ReadonlyArray<SyncResult>>(runner, {
    _tag: "Sync",
    user: "ann",
    items: [{ channel, cursor: { generation: 1, seq: held }, held: { generation: 1, seq: held } }],
    eventsMax: messages * 2,
    bytesMax: 10_000_000
  }).pipe(
    Effect.map(([result]) => {
      if (result?._tag !== "Sync") return []
      // as: of our own encoding
      const { events } = JSON.parse(fromWire(result.sync)) as {
        readonly events: ReadonlyArray<{ readonly seq: number }>
      }
      return events.map(({ seq }) => seq)
    })
  )
const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, at) => first + at)

/** All that the log has, in the store, as the persister would write it, what follows `upTo` parked; up to where that is. */
const persist = Effect.fnUntraced(function* (upTo = Infinity) {
  const [log, parked, store] = [yield* EventLog, yield* ParkedEvents, yield* ChannelStore]
  const records = yield* log.readAfter(shard, 0, 100_000_000)
  const entries = records.flatMap(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)).entries)
  const events = entries.filter(({ seq }) => seq <= upTo).map((entry) => ({ ...entry, channel: entry.id }))
  yield* store.write({ events, named: [], taken: [], members: [], rows: [] })
  const others = entries.filter(({ seq }) => seq > upTo)
  const fixed = { consumer: persisterConsumer, shard, why: "test", parkedAt: 1 }
  yield* parked.put(others.map((entry) => ({ ...fixed, ...entry, event: encodeParked(entry) })))
  return records.at(-1)?.position ?? 0
})

/** The runner after one that left a checkpoint of a channel of which the store has nothing. */
const takenOver = Effect.gen(function* () {
  const before = yield* oneShardRunner()
  yield* before.open(shard, 1)
  yield* create(before)
  for (let n = 1; n <= messages; n++) yield* send(before, n)
  before.owner(shard)?.checkpoints.write()
  yield* before.owner(shard)?.log.flush() ?? Effect.void
  yield* send(before, messages + 1)
  before.drop(shard)
  const runner = yield* oneShardRunner()
  yield* runner.open(shard, 2)
  return runner
})

describe("after a takeover from a checkpoint that has a channel cut", () => {
  it.live("it goes on without the store: what is sent, what was sent lately, and who is a little behind", () =>
    Effect.gen(function* () {
      const runner = yield* takenOver
      // The channel's creation was its first event.
      const last = messages + 2
      assert.strictEqual((yield* send(runner, messages + 2)).seq, last + 1)
      assert.strictEqual((yield* send(runner, messages + 1)).seq, last)
      assert.strictEqual((yield* send(runner, messages)).seq, last - 1)
      assert.deepStrictEqual(yield* sync(runner, last - 20), from(last - 19, last + 1))
    }).pipe(Effect.provide(layers))
  )

  it.live("what precedes its tail is waited for until the store has it, and nobody else waits for that", () =>
    Effect.gen(function* () {
      const runner = yield* takenOver
      const last = messages + 2
      const state = () => runner.owner(shard)?.channels.residents.peek(channel)?.state
      yield* send(runner, messages + 2)
      assert.isTrue(state()?.isCut)
      // One whose id the checkpoint has no longer, and a device that is far behind.
      const again = yield* Effect.forkChild(send(runner, 1))
      const behind = yield* Effect.forkChild(sync(runner, 10))
      yield* Effect.sleep(1)
      assert.strictEqual((yield* send(runner, messages + 3)).seq, last + 2)
      assert.isUndefined(again.pollUnsafe())
      assert.isUndefined(behind.pollUnsafe())
      const stored = yield* persist()
      runner.owner(shard)?.setStored(stored, [])
      assert.strictEqual((yield* Fiber.join(again)).seq, 2)
      assert.deepStrictEqual(yield* Fiber.join(behind), from(11, last + 2))
      assert.isFalse(state()?.isCut)
    }).pipe(Effect.provide(layers))
  )

  it.live("what precedes its tail is had from what is parked, where some of it could not be written (†26)", () =>
    Effect.gen(function* () {
      const runner = yield* takenOver
      yield* send(runner, messages + 2)
      const owner = runner.owner(shard)
      const stored = yield* persist(100)
      owner?.setStored(stored, [{ shard, topic: "channel", id: channel, count: messages - 97 }])
      assert.deepStrictEqual(yield* sync(runner, 10), from(11, messages + 3))
      // Its id is in no store, and the checkpoint did not have it.
      assert.strictEqual((yield* send(runner, 150)).seq, 151)
      assert.strictEqual((yield* send(runner, 50)).seq, 51)
      const state = owner?.channels.residents.peek(channel)?.state
      assert.deepStrictEqual([state?.isCut, state?.floor], [false, 100])
      owner?.setReleased({ shard, topic: "channel", id: channel, seq: messages + 3 })
      assert.strictEqual(state?.floor, messages + 3)
    }).pipe(Effect.provide(layers))
  )

  it.live("nor is what somebody parked elsewhere passed, where the runner had to ask how far the store is (†26)", () =>
    Effect.gen(function* () {
      const runner = yield* takenOver
      yield* send(runner, messages + 2)
      const owner = runner.owner(shard)
      const until = Effect.fnUntraced(function* (done: () => boolean | undefined) {
        for (let tries = 0; done() !== true && tries < 1_000; tries++) {
          runner.tick()
          yield* Effect.sleep(1)
        }
      })
      yield* until(() => owner?.parked.known)
      assert.isFalse(owner?.parked.has("channel", channel))
      // The persister of before, which tells this runner nothing.
      const stored = yield* persist(100)
      yield* (yield* EventLog).setConsumerPosition(persisterConsumer, shard, stored)
      yield* until(() => owner?.storeReady)
      assert.isTrue(owner?.parked.has("channel", channel))
      assert.deepStrictEqual(yield* sync(runner, 10), from(11, messages + 3))
      assert.strictEqual(owner?.channels.residents.peek(channel)?.state?.floor, 100)
    }).pipe(Effect.provide(layers))
  )

  it.live("the next checkpoint says the same of it, as long as the store has not come past the cut", () =>
    Effect.gen(function* () {
      const first = yield* takenOver
      const last = messages + 2
      for (let n = messages + 2; n <= messages + 70; n++) yield* send(first, n)
      first.owner(shard)?.checkpoints.write()
      yield* first.owner(shard)?.log.flush() ?? Effect.void
      first.drop(shard)
      const runner = yield* oneShardRunner()
      yield* runner.open(shard, 3)
      assert.strictEqual((yield* send(runner, messages + 71)).seq, last + 70)
      assert.isTrue(runner.owner(shard)?.channels.residents.peek(channel)?.state?.isCut)
      const behind = yield* Effect.forkChild(sync(runner, 10))
      const stored = yield* persist()
      runner.owner(shard)?.setStored(stored, [])
      assert.deepStrictEqual(yield* Fiber.join(behind), from(11, last + 70))
    }).pipe(Effect.provide(layers))
  )
})
