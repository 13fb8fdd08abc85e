/** Cursors on their way to the stores: gathered, and none forgotten (†5). */
import { assert, describe, it } from "@effect/vitest"
import { type Cursor, CursorStore } from "@parley/storage/CursorStore"
import { EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Effect, Layer, Result } from "effect"
import { decodeRecord } from "../../src/log/Record.ts"
import type { OwnerRequest } from "../../src/owner/OwnerProtocol.ts"
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
  const started = Effect.gen(function* () {
    const runner = yield* oneShardRunner({ cursors }, { bounds: { cursorTicks } })
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
  const read = (runner: Runner, user: string, seq: number) =>
    ask(runner, {
      _tag: "MoveCursor",
      caller: { user, device: "d", connection: 1, edge: "e" },
      channel,
      seq,
      unread: 0,
      mentions: 0,
      head: seq,
      generation: null
    })
  return { read, started, state, ticks, written }
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
})
