/** The rows of sessions, whoever writes them and in whatever order, and what is read for them. */
import { assert, describe, it } from "@effect/vitest"
import { Directory, type SessionRow } from "@parley/storage/Directory"
import { layerMemory } from "@parley/storage/memory/MemoryDirectory"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { Context, Effect, Exit, Layer, Option } from "effect"
import * as fc from "fast-check"
import type { Entry } from "@parley/actors/log/Entry"
import { personalBody } from "@parley/actors/session/PersonalEvent"
import { replay, SessionState } from "@parley/actors/session/SessionState"
import { SessionRows } from "../../src/workers/SessionRows.ts"

const added = (id: string, seq: number, generation = 1): Entry => ({
  topic: "user",
  id,
  generation,
  seq,
  kind: "added",
  at: seq,
  by: id,
  cid: "",
  bodyHash: "",
  n: 0,
  target: 0,
  hidden: "",
  body: personalBody(seq, seq, { kind: "added", channel: `group:${seq}`, seq: 1 })
})

const range = (id: string, from: number, to: number): ReadonlyArray<Entry> =>
  Array.from({ length: to - from + 1 }, (_, at) => added(id, from + at))

/** What the events up to a user seq make of a session. */
const stateAt = (id: string, seq: number): Uint8Array => {
  const state = SessionState.empty(id)
  for (const entry of range(id, 1, seq)) replay(state, entry)
  return state.encode()
}

/** A directory that says how often it was read, and can be away. */
const makeStore = Effect.gen(function* () {
  const memory = Context.get(yield* Layer.build(Layer.fresh(layerMemory)), Directory)
  const seen: { reads: number; away: boolean; written: Array<SessionRow> } = { reads: 0, away: false, written: [] }
  const directory = Directory.of({
    ...memory,
    session: (user) => Effect.suspend(() => (seen.reads++, memory.session(user))),
    writeSessions: (rows) =>
      Effect.suspend(() => {
        if (seen.away) return Effect.fail(new StoreUnavailable({ store: "test", cause: "away" }))
        seen.written.push(...rows)
        return memory.writeSessions(rows)
      })
  })
  const row = (user: string) => Effect.map(memory.session(user), Option.getOrThrow)
  return { directory, row, seen }
})

describe("rows of sessions", () => {
  it.effect("are not read for a session that begins, nor for one that was written last", () =>
    Effect.gen(function* () {
      const { directory, row, seen } = yield* makeStore
      const rows = new SessionRows(directory)
      yield* rows.write([...range("ann", 1, 3), ...range("bob", 1, 1)])
      yield* rows.write(range("ann", 4, 5))
      // Again, as after a store that may have lost what it had not synced.
      yield* rows.write(range("ann", 2, 5))
      yield* rows.write(range("ann", 6, 6))
      assert.strictEqual(seen.reads, 0)
      assert.deepStrictEqual((yield* row("ann")).state, stateAt("ann", 6))
      assert.deepStrictEqual((yield* row("bob")).state, stateAt("bob", 1))
    })
  )

  it.effect("†32 are read where another persister went on meanwhile, and where the generation is another", () =>
    Effect.gen(function* () {
      const { directory, row, seen } = yield* makeStore
      const [one, two] = [new SessionRows(directory), new SessionRows(directory)]
      yield* one.write(range("ann", 1, 3))
      yield* two.write(range("ann", 4, 6))
      yield* one.write(range("ann", 7, 8))
      assert.strictEqual(seen.reads, 2)
      assert.deepStrictEqual((yield* row("ann")).state, stateAt("ann", 8))
      yield* one.write([added("ann", 9, 2)])
      assert.strictEqual(seen.reads, 3)
    })
  )

  it.effect("what could not be written is not what the next step builds on (WRITE-BEHIND-SAFE)", () =>
    Effect.gen(function* () {
      const { directory, row, seen } = yield* makeStore
      const rows = new SessionRows(directory)
      yield* rows.write(range("ann", 1, 2))
      seen.away = true
      assert.isTrue(Exit.isFailure(yield* Effect.exit(rows.write(range("ann", 3, 4)))))
      assert.strictEqual(rows.keptBytes, 0)
      seen.away = false
      yield* rows.write(range("ann", 3, 3))
      assert.deepStrictEqual((yield* row("ann")).state, stateAt("ann", 3))
    })
  )

  it.effect("kept states are bounded by bytes, those that were written longest ago go", () =>
    Effect.gen(function* () {
      const { directory, seen } = yield* makeStore
      const rows = new SessionRows(directory, 8_192)
      for (let user = 0; user < 100; user++) {
        yield* rows.write(range(`u${user}`, 1, 2))
        assert.isAtMost(rows.keptBytes, 8_192)
      }
      yield* rows.write(range("u99", 3, 3))
      assert.strictEqual(seen.reads, 0)
      yield* rows.write(range("u0", 3, 3))
      assert.strictEqual(seen.reads, 1)
    })
  )

  it("†32 any number of persisters, each at its own place and beginning anew at any time, write what the events make", () => {
    const step = fc.record({
      persister: fc.constantFrom(0, 1, 2),
      events: fc.integer({ min: 1, max: 4 }),
      /** It goes back to the durable position first, as one does that gets the shard, or whose store started anew. */
      back: fc.boolean(),
      fails: fc.boolean()
    })
    const run = (steps: ReadonlyArray<typeof step extends fc.Arbitrary<infer A> ? A : never>) =>
      Effect.gen(function* () {
        const { directory, row, seen } = yield* makeStore
        const persisters = [0, 1, 2].map(() => ({ rows: new SessionRows(directory), at: 0 }))
        let durable = 0
        let furthest = 0
        for (const { back, events, fails, persister } of steps) {
          const it = persisters[persister]
          if (it === undefined) continue
          if (back) it.at = durable
          const entries = range("ann", it.at + 1, it.at + events)
          seen.away = fails
          const exit = yield* Effect.exit(it.rows.write(entries))
          assert.strictEqual(exit._tag, fails ? "Failure" : "Success")
          if (fails) continue
          it.at += events
          furthest = Math.max(furthest, it.at)
          // Some of what is written is synced.
          if (events > 2) durable = Math.max(durable, it.at)
        }
        for (const { state, userSeq } of seen.written) assert.deepStrictEqual(state, stateAt("ann", userSeq))
        if (furthest > 0) assert.deepStrictEqual((yield* row("ann")).state, stateAt("ann", furthest))
      })
    return fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), (steps) => Effect.runPromise(Effect.scoped(run(steps))))
    )
  })
})
