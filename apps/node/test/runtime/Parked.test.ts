/** What can't be written: it is parked, read all the same, and written or given up when an operator says so (†26). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { ParkedOperations, ParkedRefused } from "@parley/actors/fanout/Parking"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layerComposed } from "@parley/storage/ChannelStore"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { StoreRefused, StoreUnavailable } from "@parley/storage/StoreError"
import { layerRuntime } from "../../src/Runtime.ts"
import { newId, shardCount, until, world } from "./World.ts"

const refused = new StoreRefused({ store: "test", what: "no room for such a text" })

const away = new StoreUnavailable({ store: "test", cause: "away" })

/** What the stores refuse, or stumble over, until it is cleared. */
const makeStores = () => {
  const bad = { text: "poison", channel: "", mention: "", away: false }
  const layerBad = Layer.mergeAll(
    Layer.effect(
      MessageStore,
      Effect.map(MessageStore, (store) =>
        MessageStore.of({
          ...store,
          write: (events) =>
            bad.text !== "" && events.some(({ body }) => body.includes(bad.text))
              ? Effect.fail(refused)
              : store.write(events)
        })
      )
    ),
    Layer.effect(
      Directory,
      Effect.map(Directory, (store) =>
        Directory.of({
          ...store,
          writeChannels: (rows) =>
            rows.some(({ channel }) => channel === bad.channel)
              ? Effect.die(new TypeError("stumbled"))
              : store.writeChannels(rows),
          moveChannels: (moves) =>
            moves.some(({ channel }) => channel === bad.channel)
              ? Effect.die(new TypeError("stumbled"))
              : store.moveChannels(moves)
        })
      )
    ),
    Layer.effect(
      Inbox,
      Effect.map(Inbox, (store) =>
        Inbox.of({
          ...store,
          addMentions: (mentions) =>
            mentions.some(({ user }) => user === bad.mention) ? Effect.fail(refused) : store.addMentions(mentions)
        })
      )
    ),
    Layer.effect(
      ParkedEvents,
      Effect.map(ParkedEvents, (store) =>
        ParkedEvents.of({
          ...store,
          entities: (consumer) => (bad.away ? Effect.fail(away) : store.entities(consumer))
        })
      )
    )
  )
  return {
    bad,
    layer: Layer.fresh(layerComposed).pipe(Layer.provideMerge(layerBad), Layer.provideMerge(layerMemoryStores))
  }
}

/** A run over the given stores with a log of its own: as after everything in the log was purged. */
const during =
  (stores: Layer.Layer<Layer.Success<typeof layerMemoryStores>>) =>
  <A, E>(use: Effect.Effect<A, E, Layer.Success<ReturnType<typeof layerOver>>>) =>
    Effect.scoped(
      Effect.flatMap(Layer.build(Layer.fresh(layerOver(stores))), (context) => Effect.provide(use, context))
    )

const layerOver = (stores: Layer.Layer<Layer.Success<typeof layerMemoryStores>>) =>
  layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
    Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
    Layer.provideMerge(stores)
  )

const parkedSeqs = (consumer: string, channel: string) =>
  Effect.flatMap(ParkedEvents, (parked) => parked.of(consumer, "channel", channel, 100)).pipe(
    Effect.map((events) => events.map(({ seq }) => seq)),
    Effect.orDie
  )

/** The persister has gone past all that is in the channel's shard. */
const consumed = (shard: number) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const last = yield* log.last(shard)
    return last._tag === "Some" && (yield* log.consumerPosition(persisterConsumer, shard)) >= last.value.position
  }).pipe(Effect.orDie)

const cold = (channel: string) =>
  Effect.gen(function* () {
    const { calls } = yield* world
    const { runner } = yield* LocalRunnerService
    const owner = runner.owner(calls.shardOf(channel))
    owner?.sweep()
    return (
      owner?.channels.residents.peek(channel) === undefined && owner?.channels.residents.warm(channel) === undefined
    )
  })

/** What a member sees of the channel, by every way. */
const seen = (user: string, channel: string) =>
  Effect.gen(function* () {
    const { history, sync } = yield* world
    const page = yield* history(user, channel)
    const synced = yield* sync(user, channel, { generation: 1, seq: 1 })
    if (synced?._tag !== "Sync") return assert.fail(`no sync: ${JSON.stringify(synced)}`)
    const answer = JSON.parse(synced.sync) // our own encoding
    return {
      texts: page.events.map(({ text }) => text),
      ns: page.events.map(({ n }) => n),
      synced: answer.events.map(({ seq }: { seq: number }) => seq),
      unread: answer.head.unread,
      members: answer.head.members
    }
  })

const code = <A>(effect: Effect.Effect<A, { readonly failure: { readonly code: string } }>) =>
  Effect.map(Effect.flip(effect), ({ failure }) => failure.code)

const whyNot = <A>(effect: Effect.Effect<A, unknown>) =>
  Effect.map(Effect.flip(effect), (error) => (error instanceof ParkedRefused ? error.why : String(error)))

/** A channel with a message that can't be written, and a removal behind it. */
const fill = Effect.gen(function* () {
  const { create, mutate, send } = yield* world
  yield* create("ana", "group:one", ["ana", "ben", "eve"])
  yield* send("ana", "group:one", "before")
  yield* send("ana", "group:one", "poison")
  yield* mutate("ana", { op: "remove_members", channel: "group:one", cid: newId(), members: ["eve"] })
  yield* mutate("ana", { op: "delete", channel: "group:one", cid: newId(), target: 2 })
  yield* send("ana", "group:one", "after")
})

const all = { texts: ["", "poison", "after"], ns: [1, 2, 3], synced: [2, 3, 4, 5, 6], unread: 2, members: 2 }

describe("†26 events that can't be written", () => {
  it.live(
    "†26 and WRITE-BEHIND-SAFE: a shard is taken over while what is parked can't be read, and reads it later",
    () =>
      Effect.gen(function* () {
        const stores = makeStores()
        const layer = Layer.succeedContext(yield* Layer.build(stores.layer))
        yield* during(layer)(
          Effect.gen(function* () {
            const { calls } = yield* world
            yield* fill
            yield* until("the log is consumed", consumed(calls.shardOf("group:one")))
          })
        )
        stores.bad.away = true
        yield* during(layer)(
          Effect.gen(function* () {
            const { calls, create, send } = yield* world
            const { runner } = yield* LocalRunnerService
            const shard = calls.shardOf("group:one")
            const other = Array.from({ length: 99 }, (_, i) => `group:y${i}`).find((id) => calls.shardOf(id) === shard)!
            yield* create("ana", other, ["ana", "ben"])
            yield* send("ana", other, "live")
            assert.deepStrictEqual((yield* seen("ben", other)).texts, ["live"])
            // Each load asks for itself, and what is in memory stays there.
            assert.deepStrictEqual(yield* seen("ben", "group:one"), all)
            assert.isFalse(runner.owner(shard)?.parked.known)
            assert.isFalse(yield* cold(other))
            stores.bad.away = false
            // Asked again at a tick, or told by the persister.
            yield* until(
              "what is parked is known",
              Effect.sync(() => runner.owner(shard)?.parked.known === true)
            )
            assert.deepStrictEqual(yield* seen("ben", "group:one"), all)
            yield* until("the other channel is stored and goes cold", cold(other))
            assert.deepStrictEqual((yield* seen("ben", other)).texts, ["live"])
            yield* until("the log is consumed", consumed(shard))
            assert.strictEqual((yield* send("ana", "group:one", "more")).seq, 7)
            yield* until(
              "what follows is parked as well",
              Effect.map(parkedSeqs(persisterConsumer, "group:one"), (seqs) => seqs.at(-1) === 7)
            )
          })
        )
      })
  )

  it.live("†26 are parked with what follows them in their channel; all of it is read, the others don't notice", () =>
    Effect.gen(function* () {
      const stores = makeStores()
      const layer = Layer.succeedContext(yield* Layer.build(stores.layer))
      yield* during(layer)(
        Effect.gen(function* () {
          const { calls, create, send } = yield* world
          yield* fill
          const shard = calls.shardOf("group:one")
          const other = Array.from({ length: 99 }, (_, i) => `group:x${i}`).find((id) => calls.shardOf(id) === shard)!
          yield* create("ana", other, ["ana", "ben"])
          yield* send("ana", other, "fine")
          yield* until("the log is consumed", consumed(shard))
          assert.deepStrictEqual(yield* parkedSeqs(persisterConsumer, "group:one"), [3, 4, 5, 6])
          assert.deepStrictEqual(yield* parkedSeqs(persisterConsumer, other), [])
          yield* until("the other channel went cold", cold(other))
          assert.deepStrictEqual((yield* seen("ben", other)).texts, ["fine"])
          // Not everything of it is in the store: it stays.
          assert.isFalse(yield* cold("group:one"))
          assert.deepStrictEqual(yield* seen("ben", "group:one"), all)
        })
      )
      // Another owner has only the store, and what is parked: nothing of the log is left.
      yield* during(layer)(
        Effect.gen(function* () {
          const { history, send } = yield* world
          assert.deepStrictEqual(yield* seen("ben", "group:one"), all)
          assert.strictEqual(yield* code(history("eve", "group:one")), "not_found")
          assert.strictEqual((yield* send("ana", "group:one", "more")).seq, 7)
          assert.strictEqual((yield* seen("ben", "group:one")).unread, 3)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("†26 hold their channel's tail, however much follows them, and what follows is parked behind", () =>
    Effect.gen(function* () {
      const stores = makeStores()
      yield* during(stores.layer)(
        Effect.gen(function* () {
          const { calls, create, history, send } = yield* world
          const { runner } = yield* LocalRunnerService
          const shard = calls.shardOf("group:one")
          yield* create("ana", "group:one", ["ana"])
          yield* send("ana", "group:one", "poison")
          yield* until("the log is consumed", consumed(shard))
          const state = runner.owner(shard)?.channels.residents.peek("group:one")?.state
          Object.assign(state?.tail ?? {}, { eventsMax: 3 })
          const texts = Array.from({ length: 10 }, (_, i) => `m${i}`)
          for (const text of texts) {
            yield* send("ana", "group:one", text)
            yield* until("the log is consumed", consumed(shard))
          }
          assert.strictEqual((yield* parkedSeqs(persisterConsumer, "group:one")).length, texts.length + 1)
          yield* until(
            "the owner was told",
            Effect.sync(() => (runner.owner(shard)?.unstored.count ?? 1) === 0)
          )
          assert.deepStrictEqual(
            (yield* history("ana", "group:one")).events.map(({ text }) => text),
            ["poison", ...texts]
          )
        })
      )
    })
  )

  it.live(
    "†26 are written when they are tried again and it works, in order, and then the channel is like any other",
    () =>
      Effect.gen(function* () {
        const stores = makeStores()
        yield* during(stores.layer)(
          Effect.gen(function* () {
            const { calls } = yield* world
            const persister = (yield* ParkedOperations).find(persisterConsumer)!
            yield* fill
            yield* until("the log is consumed", consumed(calls.shardOf("group:one")))
            const still = yield* persister.retry("channel", "group:one")
            assert.deepStrictEqual(still, { written: 0, left: 4, why: refused.what })
            stores.bad.text = ""
            assert.deepStrictEqual(yield* persister.retry("channel", "group:one"), { written: 4, left: 0, why: "" })
            assert.strictEqual(persister.count, 0)
            yield* until("the channel went cold", cold("group:one"))
            assert.deepStrictEqual(yield* seen("ben", "group:one"), all)
            const rows = yield* (yield* MessageStore).messages("group:one", {
              after: 0,
              before: 99,
              limit: 99,
              newest: false
            })
            assert.deepStrictEqual(
              rows.map(({ seq }) => seq),
              [2, 3, 6]
            )
            const stays = yield* (yield* Directory).membership("group:one", "eve")
            assert.deepStrictEqual(
              stays.map(({ to }) => to),
              [4]
            )
          })
        )
      })
  )

  it.live("†26 may be given up by their text, never by what others build on", () =>
    Effect.gen(function* () {
      const stores = makeStores()
      yield* during(stores.layer)(
        Effect.gen(function* () {
          const { calls } = yield* world
          const persister = (yield* ParkedOperations).find(persisterConsumer)!
          yield* fill
          yield* until("the log is consumed", consumed(calls.shardOf("group:one")))
          assert.include(yield* whyNot(persister.drop("channel", "group:one", 4)), "only the first")
          yield* persister.drop("channel", "group:one", 3)
          stores.bad.text = "after"
          assert.deepStrictEqual(yield* persister.retry("channel", "group:one"), {
            written: 2,
            left: 1,
            why: refused.what
          })
          yield* persister.drop("channel", "group:one", 6)
          yield* until("the channel went cold", cold("group:one"))
          assert.deepStrictEqual(yield* seen("ben", "group:one"), { ...all, texts: ["", "", ""], unread: 0 })
        })
      )
    })
  )

  it.live("†26 also where the code stumbles: an added member's row is parked, and can't be given up", () =>
    Effect.gen(function* () {
      const stores = makeStores()
      yield* during(stores.layer)(
        Effect.gen(function* () {
          const { calls, create, mutate, send } = yield* world
          const persister = (yield* ParkedOperations).find(persisterConsumer)!
          yield* create("ana", "group:one", ["ana"])
          yield* until("it is stored", cold("group:one"))
          stores.bad.channel = "group:one"
          yield* mutate("ana", { op: "add_members", channel: "group:one", cid: newId(), members: ["ben"] })
          yield* send("ana", "group:one", "hi")
          yield* until("the log is consumed", consumed(calls.shardOf("group:one")))
          assert.deepStrictEqual(yield* parkedSeqs(persisterConsumer, "group:one"), [2, 3])
          assert.include(yield* whyNot(persister.drop("channel", "group:one", 2)), "can't be dropped")
          assert.deepStrictEqual((yield* seen("ben", "group:one")).texts, ["hi"])
          stores.bad.channel = ""
          yield* persister.retry("channel", "group:one")
          yield* until("it is cold", cold("group:one"))
          assert.deepStrictEqual((yield* seen("ben", "group:one")).texts, ["hi"])
        })
      )
    })
  )

  it.live("†26 the member fan-out parks what it can't give, and what follows is given", () =>
    Effect.gen(function* () {
      const stores = makeStores()
      stores.bad.text = ""
      stores.bad.mention = "ben"
      yield* during(stores.layer)(
        Effect.gen(function* () {
          const { create, mutate } = yield* world
          const fanout = (yield* ParkedOperations).find(memberFanoutConsumer)!
          const inbox = yield* Inbox
          const mention = (user: string) =>
            mutate("ana", { op: "send", channel: "group:one", cid: newId(), text: `@${user}`, mentions: [user] })
          yield* create("ana", "group:one", ["ana", "ben", "cleo"])
          yield* mention("ben")
          yield* mention("cleo")
          const countOf = (user: string) => inbox.countMentions(user, "group:one", 0, 99).pipe(Effect.orDie)
          yield* until(
            "cleo's is there",
            Effect.map(countOf("cleo"), (count) => count === 1)
          )
          assert.deepStrictEqual(yield* parkedSeqs(memberFanoutConsumer, "group:one"), [2])
          assert.strictEqual(yield* countOf("ben"), 0)
          stores.bad.mention = ""
          assert.deepStrictEqual(yield* fanout.retry("channel", "group:one"), { written: 1, left: 0, why: "" })
          assert.strictEqual(yield* countOf("ben"), 1)
        })
      )
    })
  )
})
