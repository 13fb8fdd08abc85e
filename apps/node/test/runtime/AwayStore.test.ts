/** Shards that are taken over while the store is away: what was active goes on without it (WRITE-BEHIND-SAFE). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { decodeCheckpoint } from "@parley/actors/log/Checkpoint"
import { decodeRecord } from "@parley/actors/log/Record"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { LogPlaces } from "@parley/storage/LogPlaces"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { layerRuntime } from "../../src/Runtime.ts"
import { newId, shardCount, until, world } from "./World.ts"

const unavailable = new StoreUnavailable({ store: "test", cause: "away" })

/** Stores of which every call fails while they are away. */
const makeStores = Effect.gen(function* () {
  const state = { away: false }
  const failing = <S extends object>(service: S): S =>
    new Proxy(service, {
      get: (target, name, receiver) => {
        const member: unknown = Reflect.get(target, name, receiver)
        if (typeof member !== "function") return member
        return (...parameters: ReadonlyArray<unknown>) =>
          state.away ? Effect.fail(unavailable) : Reflect.apply(member, target, parameters)
      }
    })
  const layer = Layer.mergeAll(
    Layer.effect(ChannelStore, Effect.map(ChannelStore, failing)),
    Layer.effect(CursorStore, Effect.map(CursorStore, failing)),
    Layer.effect(Directory, Effect.map(Directory, failing)),
    Layer.effect(Inbox, Effect.map(Inbox, failing)),
    Layer.effect(MessageStore, Effect.map(MessageStore, failing)),
    Layer.effect(ParkedEvents, Effect.map(ParkedEvents, failing))
  ).pipe(Layer.provideMerge(layerMemoryStores))
  return { state, layer: Layer.succeedContext(yield* Layer.build(layer)) }
})

const aLog = Effect.map(Layer.build(Layer.fresh(MemoryEventLog.layer({ positions: "dense" }))), Layer.succeedContext)

/** A run of the runtime over this log and these stores. */
const during =
  (log: Layer.Layer<EventLog>, stores: Layer.Layer<Layer.Success<typeof layerMemoryStores>>) =>
  <A, E>(use: Effect.Effect<A, E, Layer.Success<ReturnType<typeof layerOver>>>) =>
    Effect.scoped(
      Effect.flatMap(Layer.build(Layer.fresh(layerOver(log, stores))), (context) => Effect.provide(use, context))
    )

const layerOver = (log: Layer.Layer<EventLog>, stores: Layer.Layer<Layer.Success<typeof layerMemoryStores>>) =>
  layerRuntime({ shardCount, bounds: { incrementalTicks: 1 } }).pipe(
    Layer.provideMerge(log),
    Layer.provideMerge(stores)
  )

const consumed = Effect.gen(function* () {
  const log = yield* EventLog
  for (let shard = 1; shard <= shardCount; shard++) {
    const last = yield* log.last(shard)
    if (last._tag === "Some" && (yield* log.consumerPosition("persister", shard)) < last.value.position) return false
  }
  return true
}).pipe(Effect.orDie)

/** A channel with one message that these stores have, and no log. */
const storedOnly = (stores: Layer.Layer<Layer.Success<typeof layerMemoryStores>>) =>
  Effect.flatMap(aLog, (log) =>
    during(
      log,
      stores
    )(
      Effect.gen(function* () {
        const { create, send } = yield* world
        yield* create("ana", "group:one", ["ana", "ben"])
        yield* send("ana", "group:one", "old")
        yield* until("it is stored", consumed)
      })
    )
  )

/** A log that holds appends back while it is told to. */
const held = (log: Layer.Layer<EventLog>) =>
  Effect.gen(function* () {
    let holding = false
    const waiting: Array<() => void> = []
    const layer = Layer.effect(
      EventLog,
      Effect.map(EventLog, (inner) =>
        EventLog.of({
          ...inner,
          append: (append) => {
            if (holding) waiting.push(() => inner.append(append))
            else inner.append(append)
          }
        })
      )
    ).pipe(Layer.provide(log))
    return {
      layer: Layer.succeedContext(yield* Layer.build(layer)),
      waiting: () => waiting.length,
      hold: () => {
        holding = true
      },
      release: () => {
        holding = false
        for (const go of waiting.splice(0)) go()
      }
    }
  })

/** What the shard's newest incremental checkpoint has. */
const kept = (shard: number) =>
  Effect.gen(function* () {
    const records = yield* (yield* EventLog).readAfter(shard, 0, 100_000_000)
    const newest = records
      .map(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)))
      .findLast(({ kind }) => kind === "incremental")
    return newest === undefined ? [] : decodeCheckpoint(newest.body).snapshots.map(({ id }) => id)
  }).pipe(Effect.orDie)

/** Without the full checkpoint that a shard leaves when it is closed. */
const crash = Effect.map(LocalRunnerService, ({ runner }) => {
  for (const shard of runner.shards) runner.drop(shard)
})

const texts = (channel: string, seq: number) =>
  Effect.gen(function* () {
    const { sync } = yield* world
    const answer = yield* sync("ben", channel, { generation: 1, seq })
    if (answer?._tag !== "Sync") return assert.fail(`no sync: ${JSON.stringify(answer)}`)
    return JSON.parse(answer.sync).events.map(({ text }: { text: string }) => text) // our own encoding
  })

describe("WRITE-BEHIND-SAFE: a shard is taken over while the store is away", () => {
  it.live("and a channel that began in the log goes on", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* makeStores
      const log = yield* aLog
      yield* during(
        log,
        layer
      )(
        Effect.gen(function* () {
          const { create, send } = yield* world
          yield* create("ana", "group:one", ["ana", "ben"])
          yield* send("ana", "group:one", "before")
          yield* until("it is stored", consumed)
        })
      )
      state.away = true
      yield* during(
        log,
        layer
      )(
        Effect.gen(function* () {
          const { send } = yield* world
          assert.strictEqual((yield* send("ana", "group:one", "after")).seq, 3)
          assert.deepStrictEqual(yield* texts("group:one", 1), ["before", "after"])
        })
      )
    })
  )

  it.live("and a channel that was woken from it is there, by an incremental checkpoint", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* makeStores
      yield* storedOnly(layer)
      // Nothing of it is in the log any more.
      const log = yield* aLog
      yield* during(
        log,
        layer
      )(
        Effect.gen(function* () {
          const { calls, send } = yield* world
          yield* send("ana", "group:one", "woken")
          yield* until("it is stored", consumed)
          yield* until(
            "the log has what it was woken with",
            Effect.map(kept(calls.shardOf("group:one")), (ids) => ids.includes("group:one"))
          )
          // What is newer than the checkpoint is replayed.
          yield* send("ana", "group:one", "newest")
          yield* crash
        })
      )
      state.away = true
      for (let time = 0; time < 2; time++) {
        yield* during(
          log,
          layer
        )(
          Effect.gen(function* () {
            const { calls } = yield* world
            const { runner } = yield* LocalRunnerService
            const { residents } = runner.owner(calls.shardOf("group:one"))!.channels
            assert.strictEqual(residents.peek("group:one")?.state?.committedSeq, 4)
            yield* crash
          })
        )
      }
    })
  )

  it.live("and a channel that was woken while its shard's last full checkpoint was on its way is there", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* makeStores
      yield* storedOnly(layer)
      const log = yield* aLog
      const holding = yield* held(log)
      yield* during(
        holding.layer,
        layer
      )(
        Effect.gen(function* () {
          const { calls, create, send } = yield* world
          const { runner } = yield* LocalRunnerService
          const shard = calls.shardOf("group:one")
          const other = Array.from({ length: 100 }, (_, at) => `group:other${at}`).find(
            (id) => calls.shardOf(id) === shard
          )
          yield* create("ana", other ?? "", ["ana"])
          yield* send("ana", other ?? "", "so that there is something to keep")
          holding.hold()
          const closing = yield* Effect.forkChild(runner.close(shard))
          yield* until(
            "the checkpoint is on its way",
            Effect.sync(() => holding.waiting() > 0)
          )
          const sending = yield* Effect.forkChild(send("ana", "group:one", "meanwhile"))
          const { residents } = runner.owner(shard)!.channels
          yield* until(
            "it is woken and has the message",
            Effect.sync(() => residents.peek("group:one")?.state?.seq === 3)
          )
          holding.release()
          yield* Fiber.join(closing)
          yield* Fiber.join(sending)
          yield* crash
        })
      )
      state.away = true
      yield* during(
        log,
        layer
      )(
        Effect.gen(function* () {
          const { calls } = yield* world
          const { runner } = yield* LocalRunnerService
          const { residents } = runner.owner(calls.shardOf("group:one"))!.channels
          assert.strictEqual(residents.peek("group:one")?.state?.committedSeq, 3)
          yield* crash
        })
      )
    })
  )
})

describe("the member fan-out waits for no other consumer", () => {
  it.live("†12 who is added while the store is away is told; that he was mentioned, once its row is there", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* makeStores
      yield* during(
        yield* aLog,
        layer
      )(
        Effect.gen(function* () {
          const { create, mutate, open } = yield* world
          const { countMentions } = yield* Inbox
          const channel = "group:one"
          yield* create("ana", channel, ["ana"])
          yield* open("ben")
          yield* until("it is stored", consumed)
          state.away = true
          yield* mutate("ana", { op: "add_members", channel, cid: newId(), members: ["ben"] })
          const { seq } = yield* mutate("ana", { op: "send", channel, cid: newId(), text: "@ben", mentions: ["ben"] })
          yield* until(
            "ben is told that he is in",
            Effect.map(open("ben"), ({ channels }) => channels.length === 1)
          )
          assert.strictEqual((yield* open("ben")).position.seq, 1)
          state.away = false
          yield* until(
            "ben is told that he was mentioned",
            Effect.map(open("ben"), ({ position }) => position.seq === 2)
          )
          assert.strictEqual(yield* countMentions("ben", channel, 0, seq), 1)
        })
      )
    })
  )
})

describe("†24 a shard that was opened while the store was away", () => {
  it.live("is not taken for an older log by what its own persister tells of it since", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* makeStores
      const log = yield* aLog
      const told = new Map<number, number>()
      let asked = 0
      let answering = false
      const places = Layer.succeed(LogPlaces, {
        known: (shard) =>
          Effect.suspend(() => {
            asked++
            return answering ? Effect.succeed(told.get(shard) ?? 0) : Effect.fail(unavailable)
          }),
        note: (noted) =>
          Effect.sync(() => {
            for (const { position, shard } of noted) told.set(shard, position)
          })
      })
      yield* during(
        log,
        Layer.merge(layer, places)
      )(
        Effect.gen(function* () {
          const { create, send } = yield* world
          const { runner } = yield* LocalRunnerService
          yield* create("ana", "group:one", ["ana"])
          yield* send("ana", "group:one", "since then")
          assert.isFalse(state.away)
          yield* until("it is stored", consumed)
          // Everything else of the store answers: the persister comes round to telling how far it is.
          const before = asked
          yield* until(
            "it was asked again",
            Effect.sync(() => asked > before + shardCount)
          )
          assert.strictEqual(told.size, 0)
          answering = true
          yield* until(
            "it was told",
            Effect.sync(() => told.size > 0)
          )
          assert.strictEqual(runner.quarantined.size, 0)
          yield* send("ana", "group:one", "and on")
        })
      )
    })
  )
})
