import { assert, describe, it } from "@effect/vitest"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Fiber, Layer, Result } from "effect"
import { persisterConsumer } from "../../src/fanout/ConsumerNames.ts"
import { decodeCheckpoint } from "../../src/log/Checkpoint.ts"
import { decodeRecord } from "../../src/log/Record.ts"
import {
  checkpointTicksMax,
  checkpointTicksMin,
  checkpointWokenMax,
  heldPlacesMin
} from "../../src/owner/Checkpoints.ts"
import type { ChannelMutation, OwnerRequest } from "../../src/owner/OwnerProtocol.ts"
import type { OwnerBounds } from "../../src/owner/OwnerContext.ts"
import { personalBody } from "../../src/session/PersonalEvent.ts"
import { replay, SessionState } from "../../src/session/SessionState.ts"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

/** Of a channel that the store has, and the log does not. */
const old = { generation: 1, seq: 1, n: 0, name: "old", topic: "", fanout: "write", createdAt: 1, idBound: 0 } as const

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

/** Places that others have taken in what the shard lies in. */
let others = 0
const besideOthers = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) => EventLog.of({ ...log, newest: (each) => log.newest(each) + others }))
).pipe(Layer.provide(MemoryEventLog.layer()))

const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("a checkpoint", () => {
  it.live(
    "has a hot channel that the store is far behind, with its newest events, beside the others that were active",
    () =>
      Effect.gen(function* () {
        const { checkpointed, create, send } = yield* owned()
        const quiet = ["group:a", "group:b", "group:c"]
        for (const channel of [...quiet, "group:hot"]) yield* create(channel)
        for (const channel of quiet) yield* send(channel, "hello")
        for (let i = 0; i < 600; i++) yield* send("group:hot", "x".repeat(2_000))
        assert.sameMembers(yield* checkpointed, [...quiet, "group:hot"])
        const log = yield* EventLog
        const newest = (yield* log.readAfter(shard, 0, 100_000_000)).at(-1)
        assert.isBelow(newest?.bytes.length ?? 0, 150_000)
      }).pipe(Effect.provide(layers))
  )

  it.live("is written in time however far the store is behind: what a takeover has to replay is bounded by that", () =>
    Effect.gen(function* () {
      const { create, runner, send } = yield* owned({ checkpointBytes: 30_000, incrementalTicks: 2 })
      yield* create("group:hot")
      for (let i = 0; i < 100; i++) {
        yield* send("group:hot", "x".repeat(2_000))
        const { end, replayFrom } = runner.owner(shard)?.log ?? { end: 0, replayFrom: 0 }
        assert.isAtMost(end - replayFrom, 20)
      }
    }).pipe(Effect.provide(layers))
  )

  it.live("is due sooner where a takeover would have more to replay than it takes itself", () =>
    Effect.gen(function* () {
      const { create, runner, send } = yield* owned({ incrementalTicks: 1_000 })
      yield* create("group:a")
      const many = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => send("group:a", "x".repeat(100)))
      /** After how many ticks there is another one. */
      const due = Effect.gen(function* () {
        yield* Effect.sleep(0)
        const owner = runner.owner(shard)
        const before = owner?.log.replayFrom
        for (let ticks = 1; ; ticks++) {
          owner?.tick()
          yield* owner?.log.flush() ?? Effect.void
          if (owner?.log.replayFrom !== before) return ticks
        }
      })
      yield* many(300)
      assert.strictEqual(yield* due, checkpointTicksMin)
      yield* many(100)
      assert.strictEqual(yield* due, checkpointTicksMax)
    }).pipe(Effect.provide(layers))
  )

  it.live("that would have to be incremental is a full one where a channel has to be cut for it", () =>
    Effect.gen(function* () {
      const [directory, log] = [yield* Directory, yield* EventLog]
      const channel = "group:old"
      yield* directory.writeChannels([{ ...old, channel, members: 1 }])
      yield* directory.writeMembers([{ channel, user: "ann", role: "member", from: 1, to: null, seq: 1 }])
      const { runner, send } = yield* owned({ incrementalTicks: 1 })
      const written = Effect.gen(function* () {
        // The answer comes before the rest of the commit.
        yield* Effect.sleep(0)
        runner.tick()
        yield* runner.owner(shard)?.log.flush() ?? Effect.void
        const newest = (yield* log.readAfter(shard, 0, 100_000_000)).at(-1)
        return newest === undefined ? "" : Result.getOrThrow(decodeRecord(newest.bytes)).kind
      })
      // It came out of the store, so that no full one has it, nor has the log all of it.
      yield* send(channel, "x")
      assert.strictEqual(yield* written, "incremental")
      for (let i = 0; i < 100; i++) yield* send(channel, "x".repeat(2_000))
      assert.strictEqual(yield* written, "full")
      // Where it can't be cut a full one would be of no use.
      const parked = { shard, topic: "channel", id: "group:parked", count: 1 } as const
      const row = { ...old, channel: parked.id, members: 1 }
      yield* directory.writeChannels([row])
      yield* directory.writeMembers([{ channel: parked.id, user: "ann", role: "member", from: 1, to: null, seq: 1 }])
      const owner = runner.owner(shard)
      owner?.setStored(owner.log.end, [])
      yield* send(parked.id, "x")
      owner?.setStored(owner.storePosition, [parked])
      for (let i = 0; i < 100; i++) yield* send(parked.id, "x".repeat(2_000))
      assert.strictEqual(yield* written, "incremental")
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

  it.live(
    "of a shard that rests is logged once more when what others wrote since is held up by it, and the store has it",
    () =>
      Effect.gen(function* () {
        const { checkpointed, create, runner, send } = yield* owned()
        yield* create("group:a")
        // The answer comes before the rest of the commit.
        yield* Effect.sleep(0)
        assert.deepStrictEqual(yield* checkpointed, ["group:a"])
        const owner = runner.owner(shard)
        const flushed = Effect.suspend(() => owner?.log.flush() ?? Effect.void)
        const first = owner?.log.replayFrom ?? 0
        const tick = Effect.andThen(
          Effect.sync(() => runner.tick()),
          flushed
        )
        yield* tick
        others = 3 * heldPlacesMin
        yield* tick
        assert.strictEqual(owner?.log.replayFrom, first)
        owner?.setStored(first, [])
        others = heldPlacesMin / 2
        yield* tick
        assert.strictEqual(owner?.log.replayFrom, first)
        others = 3 * heldPlacesMin
        yield* tick
        assert.isAbove(owner?.log.replayFrom ?? 0, first)
        assert.deepStrictEqual(yield* checkpointed, ["group:a"])
        yield* send("group:a", "and on")
        others = 0
      }).pipe(Effect.provide(Layer.mergeAll(besideOthers, MemoryStores.layer)))
  )

  it.live("is waited for until the store has it, of which the next owner asks where nobody tells him", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const before = yield* owned()
      for (const channel of ["group:a", "group:b"]) yield* before.create(channel)
      yield* Effect.sleep(0)
      yield* before.checkpointed
      const { runner } = yield* owned()
      const owner = runner.owner(shard)
      assert.isFalse(owner?.storeReady)
      yield* log.setConsumerPosition(persisterConsumer, shard, owner?.log.end ?? 0)
      yield* Effect.sync(() => runner.tick()).pipe(
        Effect.andThen(Effect.sleep(1)),
        Effect.repeat({ until: () => owner?.storeReady === true }),
        Effect.timeout("10 seconds")
      )
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

  it.live(
    "has some of those that were woken from the store and only looked at: the next owner need not ask for them",
    () =>
      Effect.gen(function* () {
        const [store, channelStore] = [yield* Directory, yield* ChannelStore]
        const users = Array.from({ length: checkpointWokenMax + 10 }, (_, user) => `u${user}`)
        yield* store.writeSessions(
          users.map((user) => {
            const state = SessionState.empty(user)
            const body = personalBody(1, 1, { kind: "added", channel: "group:old", seq: 1 })
            const rest = { cid: "", bodyHash: "", hidden: "", n: 0, target: 0, body }
            replay(state, { topic: "user", id: user, generation: 1, seq: 1, kind: "added", at: 1, by: user, ...rest })
            return { user, generation: 1, userSeq: 1, state: state.encode() }
          })
        )
        yield* store.writeChannels([{ ...old, channel: "group:old", members: 1 }])
        yield* store.writeMembers([{ channel: "group:old", user: "u0", role: "member", from: 1, to: null, seq: 1 }])
        const asked: Array<string> = []
        const directory = Directory.of({
          ...store,
          session: (user) => Effect.suspend(() => (asked.push(user), store.session(user)))
        })
        const channels = ChannelStore.of({
          ...channelStore,
          load: (load) => Effect.suspend(() => (asked.push(...load.channels), channelStore.load(load)))
        })
        /** All come, and look at what they have. */
        const visit = Effect.fnUntraced(function* (epoch: number) {
          const runner = yield* oneShardRunner({ channels, directory })
          yield* runner.open(shard, epoch)
          const request = (it: OwnerRequest) =>
            Effect.callback<void>((resume) =>
              runner.request(
                shard,
                runner.epochOf(shard),
                it,
                (reply) => resume("ok" in reply ? Effect.void : Effect.die(reply.failure)),
                () => resume(Effect.die("not mine"))
              )
            )
          const look = (user: string) => request({ _tag: "Open", user, after: { generation: 0, seq: 0 } })
          yield* Effect.forEach(users.slice(epoch === 1 ? 0 : 20), look)
          const items = [{ channel: "group:old", cursor: { generation: 0, seq: 0 }, held: null }]
          yield* request({ _tag: "Sync", user: "u0", items, eventsMax: 10, bytesMax: 10_000 })
          return runner
        })
        const first = yield* visit(1)
        assert.strictEqual(asked.length, users.length + 1)
        const mutation = {
          op: "create",
          channel: "group:new",
          cid: cid(),
          name: "new",
          topic: "",
          members: []
        } as const
        yield* ask(first, { _tag: "Mutate", caller, mutation, admin: false })
        // The ack comes first, then it is counted.
        yield* Effect.sleep(1)
        first.owner(shard)?.checkpoints.write()
        yield* first.owner(shard)?.log.flush() ?? Effect.void
        const log = yield* EventLog
        const records = (yield* log.readAfter(shard, 0, 100_000_000)).map(({ bytes, position }) => ({
          position,
          record: Result.getOrThrow(decodeRecord(bytes))
        }))
        // The store has all of it: what is not here could be asked for.
        yield* log.setConsumerPosition(persisterConsumer, shard, records.at(-1)?.position ?? 0)
        first.drop(shard)
        asked.length = 0
        yield* visit(2)
        // The newest of them, and the channel: as many as a checkpoint may have.
        assert.deepStrictEqual(asked, [])
        const newest = records.findLast(({ record }) => record.kind === "full")
        const ids = decodeCheckpoint(newest?.record.body ?? new Uint8Array()).snapshots.map(({ id }) => id)
        assert.deepStrictEqual(ids.slice(0, 3), ["group:new", "group:old", users.at(-1)])
        assert.strictEqual(ids.length, checkpointWokenMax + 1)
      }).pipe(Effect.provide(layers))
  )
})
