import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { type CursorMoved, userTopic } from "@parley/actors/owner/OwnerProtocol"
import type { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { shownTicksMin } from "@parley/actors/owner/SessionHandler"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { callerOf, layerMemoryWorld, newId, shardCount, until, world } from "./World.ts"

/** Nothing may stay in memory: a session goes as soon as the store has it. */
const layerTight = layerRuntime({ shardCount, bounds: { residentBytesMax: 1, warmBytesMax: 1 } }).pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)

const moveTo = (seq: number) => ({
  _tag: "MoveCursor" as const, // a literal
  caller: callerOf("ben"),
  channel: "group:one",
  seq,
  unread: 0,
  mentions: 0,
  head: seq,
  generation: null
})

describe("sessions behind the edge", () => {
  it.live("†5 cursors merge by max, and mark unread sets them back for good, however often it is repeated", () =>
    Effect.gen(function* () {
      const { ask, create, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      for (let i = 0; i < 5; i++) yield* send("ana", "group:one", `m${i}`)
      const at = (moved: CursorMoved) => moved.cursor.seq
      assert.strictEqual(at(yield* ask<CursorMoved>("ben", moveTo(4))), 4)
      assert.strictEqual(at(yield* ask<CursorMoved>("ben", moveTo(2))), 4)
      const mark = { ...moveTo(2), _tag: "MarkUnread" as const, cid: newId() } // a literal
      const first = yield* ask<CursorMoved>("ben", mark)
      assert.strictEqual(at(first), 2)
      assert.strictEqual(at(yield* ask<CursorMoved>("ben", moveTo(3))), 3)
      const again = yield* ask<CursorMoved>("ben", mark)
      assert.deepStrictEqual([again.cursor.generation, again.cursor.seq], [first.cursor.generation, 3])
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("EXACTLY-ONCE-EFFECT: a repeated mark unread is answered with the place of its first time", () =>
    Effect.gen(function* () {
      const { ask, attach, create, edge, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      for (let i = 0; i < 5; i++) yield* send("ana", "group:one", `m${i}`)
      const one = yield* edge("e1")
      yield* attach(one, userTopic("ben"), ["ben"])
      const mark = (seq: number) => ({ ...moveTo(seq), unread: 10 - seq, _tag: "MarkUnread" as const, cid: newId() }) // a literal
      const first = mark(1)
      // The second is there before the first is committed: both are answered after the same commit.
      const [answer, later] = yield* Effect.all([ask<CursorMoved>("ben", first), ask<CursorMoved>("ben", mark(3))], {
        concurrency: "unbounded"
      })
      assert.strictEqual(later.userSeq, answer.userSeq + 1)
      const again = yield* ask<CursorMoved>("ben", first)
      assert.strictEqual(again.userSeq, answer.userSeq)
      assert.deepStrictEqual(again.cursor, later.cursor)
      yield* ask<CursorMoved>("ben", moveTo(4))
      yield* ask<CursorMoved>("ben", first)
      const pushes = () =>
        one.items.flatMap((item) =>
          item._tag === "Personal" && item.kind === "cursor" ? [JSON.parse(item.frame)] : []
        )
      yield* until(
        "the last cursor is shown",
        Effect.sync(() => pushes().some(({ cursor }) => cursor.seq === 4))
      )
      // What is shown beside a cursor is what was counted for it.
      const counted = pushes().map(({ cursor, unread }) => [cursor.seq, unread])
      assert.deepStrictEqual(counted, [
        [3, 7],
        [4, 0]
      ])
    }).pipe(Effect.scoped, Effect.provide(layerMemoryWorld))
  )

  it.live("a cursor that moved right after a takeover, before an edge attached, is shown to that edge", () =>
    Effect.gen(function* () {
      const { ask, attach, create, edge, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      for (const text of ["a", "b", "c"]) yield* send("ana", "group:one", text)
      for (const seq of [2, 3]) yield* ask("ben", moveTo(seq))
      const late = yield* edge("late")
      const shown = () =>
        late.items.flatMap((item) =>
          item._tag === "Personal" && item.kind === "cursor" ? [Number(JSON.parse(item.frame).cursor.seq)] : []
        )
      yield* until(
        "it is shown",
        // Again: the bus may not know yet that the edge listens, and this one asks for nothing that it missed.
        Effect.map(attach(late, userTopic("ben"), ["ben"]), () => shown().length > 0)
      )
      assert.deepStrictEqual([...new Set(shown())], [3])
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live(
    "a cursor that moved a while ago is shown to an edge that attaches again: what it was pushed may be lost",
    () =>
      Effect.gen(function* () {
        const { ask, attach, calls, create, edge, send } = yield* world
        const { runner } = yield* LocalRunnerService
        yield* create("ana", "group:one", ["ana", "ben"])
        for (const text of ["a", "b", "c"]) yield* send("ana", "group:one", text)
        const owner = runner.owner(calls.shardOf("ben"))
        const passes = (ticks: number) =>
          Effect.sync(() => {
            for (let i = 0; i < ticks; i++) owner?.sessions.tick()
          })
        const there = yield* edge("there")
        const cursors = () =>
          there.items.flatMap((item) =>
            item._tag === "Personal" && item.kind === "cursor" ? [Number(JSON.parse(item.frame).cursor.seq)] : []
          )
        const attached = attach(there, userTopic("ben"), ["ben"])
        let last = 0
        /** Moves on until one is heard: what comes before it is what was shown at the attach. */
        const moves = Effect.gen(function* () {
          const from = last
          yield* until(
            "a cursor comes",
            Effect.suspend(() =>
              Effect.as(
                ask("ben", moveTo(++last)),
                cursors().some((seq) => seq > from)
              )
            )
          )
          // What is still on its way would be taken for one that is shown later.
          yield* until(
            "the last one comes",
            Effect.sync(() => cursors().includes(last))
          )
          return cursors().filter((seq) => seq <= from)
        })
        yield* passes(shownTicksMin * 3)
        // The way to the edge works from here on.
        yield* attached
        yield* moves
        const before = last
        yield* passes(shownTicksMin - 1)
        there.items.length = 0
        yield* attached
        yield* until(
          "it is shown again",
          Effect.sync(() => cursors().includes(before))
        )
        yield* passes(shownTicksMin * 2)
        there.items.length = 0
        yield* attached
        assert.deepStrictEqual(yield* moves, [])
      }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†5 a session with a cursor that the store lacks does not passivate, and goes once it has it", () =>
    Effect.gen(function* () {
      const { ask, calls, create, open, send } = yield* world
      const { runner } = yield* LocalRunnerService
      yield* create("ana", "group:one", ["ana"])
      yield* send("ana", "group:one", "m")
      const owner = runner.owner(calls.shardOf("ben"))
      yield* open("ben")
      const passivated = Effect.sync(() => owner?.sessions.residents.passivate("ben") === true)
      yield* until("it goes while nothing is unsaved", passivated)
      yield* ask<CursorMoved>("ben", moveTo(1))
      assert.isFalse(owner?.sessions.residents.passivate("ben"))
      yield* until("the store has it", passivated)
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live(
    "†5 a session that is in memory nowhere comes back from the store with the cursors that were written behind",
    () =>
      Effect.gen(function* () {
        const { ask, calls, create, open, send } = yield* world
        const { runner } = yield* LocalRunnerService
        yield* create("ana", "group:one", ["ana", "ben"])
        for (let i = 0; i < 3; i++) yield* send("ana", "group:one", `m${i}`)
        yield* until("ben is told", open("ben").pipe(Effect.map((view) => view.channels.length === 1)))
        // After the last event of the session: what is stored of the session itself does not have it.
        yield* ask<CursorMoved>("ben", moveTo(3))
        const owner = runner.owner(calls.shardOf("ben"))
        yield* until(
          "it is cold",
          Effect.sync(() => {
            owner?.sweep()
            const { residentCount, warmCount } = owner?.sessions.residents ?? { residentCount: 1, warmCount: 1 }
            return residentCount + warmCount === 0
          })
        )
        const { channels } = yield* open("ben")
        assert.deepStrictEqual(
          channels.map(({ channel, cursor }) => [channel, cursor.seq]),
          [["group:one", 3]]
        )
      }).pipe(Effect.provide(layerTight))
  )

  it.live("†5 cursors, membership and revocations come back after a stop and a start", () =>
    Effect.gen(function* () {
      const base = yield* Layer.build(Layer.merge(MemoryEventLog.layer({ positions: "dense" }), layerMemoryStores))
      const during = <A, E>(use: Effect.Effect<A, E, OwnerCalls | LinkBus | LocalRunnerService>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.buildWithScope(Layer.fresh(layerRuntime({ shardCount })), yield* Effect.scope)
            return yield* use.pipe(Effect.provide(context))
          })
        ).pipe(Effect.provide(base))
      yield* during(
        Effect.gen(function* () {
          const { ask, create, open, send } = yield* world
          yield* create("ana", "group:one", ["ana", "ben"])
          yield* send("ana", "group:one", "m")
          yield* until("ben is told", open("ben").pipe(Effect.map((view) => view.channels.length === 1)))
          yield* ask("ben", { _tag: "Revoke", user: "ben", before: 77, cid: newId() })
          // A checkpoint that has the session, then a cursor that only the store will know.
          const { runner } = yield* LocalRunnerService
          for (const shard of runner.shards) runner.owner(shard)?.checkpoints.write()
          yield* ask<CursorMoved>("ben", moveTo(2))
        })
      )
      yield* during(
        Effect.gen(function* () {
          const { open } = yield* world
          const view = yield* open("ben")
          assert.strictEqual(view.revokedBefore, 77)
          assert.deepStrictEqual(
            view.channels.map(({ channel, cursor }) => [channel, cursor.seq]),
            [["group:one", 2]]
          )
        })
      )
    }).pipe(Effect.scoped)
  )
})
