/** Cursors on their way to the stores: gathered, and none forgotten (†5). */
import { assert, describe, it } from "@effect/vitest"
import { type Cursor, CursorStore } from "@parley/storage/CursorStore"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Effect, Layer, Result } from "effect"
import { decodeRecord } from "../../src/log/Record.ts"
import type { LinkMessage, OwnerRequest } from "../../src/owner/OwnerProtocol.ts"
import { userTopic } from "../../src/owner/OwnerProtocol.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:a"
const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)
const cursorTicks = 4
const ask = (runner: Runner, request: OwnerRequest) =>
  Effect.callback<void>((resume) =>
    runner.request(
      shard,
      runner.epochOf(shard),
      request,
      (reply) => resume("ok" in reply ? Effect.void : Effect.die(reply.failure)),
      () => resume(Effect.die("not mine"))
    )
  )

const attached = (runner: Runner, user: string) =>
  Effect.callback<void>((resume) =>
    runner.attach(
      runner.epochOf(shard),
      { edge: "other", shard, topics: [{ topic: userTopic(user), users: [user] }] },
      () => resume(Effect.void),
      () => resume(Effect.die("not mine"))
    )
  )

/** A runner over a store of cursors that says what it was given, in order; while `away` it takes nothing. */
const world = Effect.fnUntraced(function* () {
  const store = yield* CursorStore
  const written: Array<string> = []
  const state = { away: false, refused: 0 }
  const cursors = CursorStore.of({
    ...store,
    merge: (user, moved: ReadonlyArray<Cursor>) =>
      Effect.suspend(() => {
        if (state.away) {
          state.refused++
          return Effect.fail(new StoreUnavailable({ store: "test", cause: "away" }))
        }
        written.push(...moved.map(({ position }) => `${user} ${position.seq}`))
        return store.merge(user, moved)
      })
  })
  const shown: Array<string> = []
  const publish = ({ items }: LinkMessage) => {
    for (const item of items) if (item._tag === "Personal") shown.push(`${item.topic} ${item.frame}`)
  }
  const started = Effect.gen(function* () {
    const runner = yield* oneShardRunner({ cursors }, { bounds: { cursorTicks }, publish })
    yield* runner.open(shard, 1)
    return runner
  })
  const settled = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
  const ticks = (runner: Runner, count: number) =>
    Effect.forEach(
      Array.from({ length: count }),
      () =>
        Effect.andThen(
          Effect.sync(() => runner.owner(shard)?.sessions.tick()),
          settled
        ),
      { discard: true }
    )
  const read = (runner: Runner, user: string, seq: number, generation: number | null = null) =>
    ask(runner, {
      _tag: "MoveCursor",
      caller: { user, device: "d", connection: 1, edge: "e" },
      channel,
      seq,
      unread: 0,
      mentions: 0,
      head: seq,
      generation
    })
  return { read, shown, started, state, ticks, written }
})

describe("†5 cursors that moved", () => {
  it.live("are gathered for some ticks, and the last of each is written", () =>
    Effect.gen(function* () {
      const { read, started, ticks, written } = yield* world()
      const runner = yield* started
      for (let seq = 1; seq < cursorTicks; seq++) {
        yield* read(runner, "ann", seq)
        yield* ticks(runner, 1)
      }
      assert.deepStrictEqual(written, [])
      yield* ticks(runner, 1)
      assert.deepStrictEqual(written, [`ann ${cursorTicks - 1}`])
      yield* ticks(runner, cursorTicks * 2)
      assert.strictEqual(written.length, 1)
      assert.strictEqual(runner.owner(shard)?.sessions.dirtyCount, 0)
    }).pipe(Effect.provide(layers))
  )

  it.live("are written as the shard leaves, without waiting", () =>
    Effect.gen(function* () {
      const { read, started, written } = yield* world()
      const runner = yield* started
      yield* read(runner, "ann", 3)
      yield* runner.close(shard)
      while (written.length === 0) yield* Effect.sleep(1)
      assert.deepStrictEqual(written, ["ann 3"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that the store did not take are written again, with what moved since", () =>
    Effect.gen(function* () {
      const { read, started, state, ticks, written } = yield* world()
      const runner = yield* started
      state.away = true
      yield* read(runner, "ann", 3)
      yield* ticks(runner, cursorTicks * 3)
      assert.isAtLeast(state.refused, 2)
      yield* read(runner, "ann", 4)
      state.away = false
      yield* ticks(runner, cursorTicks)
      assert.deepStrictEqual(written, ["ann 4"])
    }).pipe(Effect.provide(layers))
  )

  it.live("and were not written are the next owner's to write, who has them from the checkpoint", () =>
    Effect.gen(function* () {
      const { read, started, state, ticks, written } = yield* world()
      const log = yield* EventLog
      const before = yield* started
      state.away = true
      // Something has to be logged of her session, or no checkpoint has it.
      yield* ask(before, { _tag: "Notice", user: "ann", channel, seq: 1, kind: "added", by: "ben" })
      yield* read(before, "ann", 1)
      const checkpointed = Effect.gen(function* () {
        const owner = before.owner(shard)
        owner?.checkpoints.write()
        yield* owner?.log.flush() ?? Effect.void
        const records = yield* log.readAfter(shard, 0, 1_000_000)
        return records.some(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)).kind === "full")
      })
      while (!(yield* checkpointed)) yield* Effect.sleep(1)
      before.drop(shard)
      state.away = false
      const after = yield* started
      yield* read(after, "ann", 1)
      yield* ticks(after, cursorTicks)
      assert.deepStrictEqual(written, ["ann 1"])
    }).pipe(Effect.provide(layers))
  )

  it.live("an edge that missed two owners is shown by the third what the one between had no edge to show to", () =>
    Effect.gen(function* () {
      const { read, shown, started } = yield* world()
      const before = yield* started
      yield* read(before, "ann", 3)
      yield* before.close(shard)
      const after = yield* started
      yield* attached(after, "ann")
      yield* read(after, "ann", 3)
      yield* read(after, "ann", 2, 0)
      assert.deepStrictEqual(shown, [])
      yield* read(after, "ann", 3, 0)
      while (shown.length === 0) yield* Effect.sleep(1)
      // Once: as many edges may offer it as the user has devices.
      yield* read(after, "ann", 3, 0)
      yield* read(after, "ann", 4)
      while (shown.length < 2) yield* Effect.sleep(1)
      assert.deepStrictEqual(
        shown.map((one) => /"seq":\d+/.exec(one)?.[0]),
        ['"seq":3', '"seq":4']
      )
    }).pipe(Effect.provide(layers))
  )
})
