/**
 * Reads of history in the real Cassandra beside the store in memory, which finds everything by looking at all there is:
 * pages are full across partitions, counts by blocks are those of a recount, kept ones are used and never stale.
 */
import { assert, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fc from "fast-check"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra } from "../../src/cassandra/CassandraMessageStore.ts"
import { layerMemory } from "../../src/memory/MemoryMessageStore.ts"
import { MessageStore, type StoredEvent } from "../../src/MessageStore.ts"
import { History } from "../History.ts"
import { senders } from "../MessageStoreModel.ts"
import { RawKeyspace } from "./RawRows.ts"

const stores = Effect.gen(function* () {
  const raw = yield* RawKeyspace
  const real = yield* Layer.build(Layer.fresh(Layer.provide(layerCassandra, Cassandra.layer(raw.options))))
  const memory = yield* Layer.build(Layer.fresh(layerMemory))
  return { ...raw, real: Context.get(real, MessageStore), memory: Context.get(memory, MessageStore) }
})

/** The event of a place: mostly messages, and changes of earlier places. */
const eventAt = (history: History, seq: number, pick: number, generation = 1): StoredEvent => {
  const options = { generation, by: senders[pick % 3] ?? "ann" }
  const target = 1 + (pick % Math.max(1, seq - 1))
  if (pick % 11 === 1 && target < seq) return history.delete(seq, target, options)
  if (pick % 11 === 2 && target < seq) return history.edit(seq, target, "edited", options)
  if (pick % 11 === 3) return history.added(seq, options)
  return history.message(seq, `m${seq}`, options)
}

const picks = (seed: number, count: number): ReadonlyArray<number> => {
  let state = seed + 1
  return Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647
    return state
  })
}

const ranges = [
  [0, 1e9],
  [0, 999],
  [0, 1_000],
  [999, 3_000],
  [999, 1_999],
  [1_500, 2_600],
  [2_000, 2_000],
  [2_999, 1e9]
] as const

withLayer(RawKeyspace.layer, { timeout: 60_000, excludeTestServices: true })("Reads of history in Cassandra", (it) => {
  it.effect(
    "unread counts are a recount, asked at any time, after any deletes, and after a restore that changes full blocks",
    () =>
      Effect.gen(function* () {
        const { execute, memory, real } = yield* stores
        const write = (events: ReadonlyArray<StoredEvent>) => Effect.andThen(memory.write(events), real.write(events))
        const compare = Effect.fnUntraced(function* (channel: string, why: string) {
          for (const [after, upTo] of ranges) {
            for (const user of ["ann", "constructor"]) {
              const expected = yield* memory.countUnread(channel, after, upTo, user)
              const counted = yield* real.countUnread(channel, after, upTo, user)
              assert.strictEqual(counted, expected, `${why}: (${after}, ${upTo}] of ${user}`)
            }
          }
        })
        const run = (seed: number) =>
          Effect.gen(function* () {
            const history = new History()
            const { channel } = history
            // A part comes last, as from a writer that was behind: messages alone, which change nothing but what they are.
            const late = (i: number): boolean => i >= 1_700 && i < 1_800
            const events = picks(seed, 3_300).map((pick, i) => eventAt(history, i + 1, late(i) ? 0 : pick))
            const [first, behind, last] = [events.slice(0, 1_700), events.slice(1_700, 1_800), events.slice(1_800)]
            yield* write([...first, ...last])
            yield* compare(channel, "with a hole")
            yield* write(behind)
            yield* compare(channel, "full")
            yield* compare(channel, "kept")
            const deletes = picks(seed + 1, 9).map((pick, i) => history.delete(3_301 + i, 1 + (pick % 3_300)))
            for (const it of deletes) {
              yield* write([it])
              yield* compare(channel, "deleted")
            }
            yield* write([...events.slice(40, 60), ...deletes])
            yield* compare(channel, "repeated")
            const restored = picks(seed + 2, 30).map((pick, i) => eventAt(history, 990 + i, pick, 2))
            for (const at of [20, 0, 10]) {
              yield* write(restored.slice(at, at + 10))
              yield* compare(channel, "restored")
            }
          })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(fc.nat(1_000_000), (seed) => Effect.runPromise(run(seed))),
            { numRuns: 2 }
          )
        )
        const [kept] = yield* execute("SELECT count(*) AS n FROM block_counts")
        assert.isAtLeast(Number(kept?.get("n")), 6)
      }),
    180_000
  )

  it.effect(
    "counts that are kept are what is answered, as long as they hold",
    () =>
      Effect.gen(function* () {
        const { execute, real } = yield* stores
        const history = new History()
        const { channel } = history
        yield* real.write(Array.from({ length: 2_100 }, (_, i) => history.message(i + 1, "m")))
        assert.strictEqual(yield* real.countUnread(channel, 0, 1e9, "bob"), 2_100)
        // Nobody else would write this: it shows where the answer comes from.
        yield* execute(
          "UPDATE block_counts USING TIMESTAMP 2 SET counts = ? WHERE channel = ? AND span = 0 AND block = 1",
          ['{"seen":0,"all":5,"by":{}}', channel]
        )
        assert.strictEqual(yield* real.countUnread(channel, 0, 1e9, "bob"), 1_105)
        yield* real.write([history.delete(2_101, 1_500)])
        assert.strictEqual(yield* real.countUnread(channel, 0, 1e9, "bob"), 2_099)
      }),
    60_000
  )

  it.effect(
    "pages are full from either end, across partitions, whatever lies between the messages",
    () =>
      Effect.gen(function* () {
        const { memory, real } = yield* stores
        const history = new History()
        const { channel } = history
        // Sparse around the edges of three partitions; a run of other events; edits of messages that never come.
        const seqs = [1, 2, 3, 9_998, 9_999, 10_000, 10_001, 19_999, 20_000, 55_000, 55_001]
        const events = [
          ...seqs.map((seq) => history.message(seq, `m${seq}`)),
          ...Array.from({ length: 60 }, (_, i) => history.added(10_100 + i)),
          ...Array.from({ length: 60 }, (_, i) => history.edit(20_100 + i, 9_900 + i, "of nothing"))
        ]
        yield* memory.write(events)
        yield* real.write(events)
        const run = (after: number, before: number, limit: number, newest: boolean) =>
          Effect.gen(function* () {
            const range = { after, before, limit, newest }
            assert.deepStrictEqual(yield* real.messages(channel, range), yield* memory.messages(channel, range))
            assert.deepStrictEqual(
              yield* real.events(channel, after, before, limit),
              yield* memory.events(channel, after, before, limit)
            )
          })
        const bound = fc.oneof(
          fc.constantFrom(...seqs, 0, 9_997, 10_002, 20_001, 60_000, Number.MAX_SAFE_INTEGER),
          fc.integer({ min: 0, max: 56_000 })
        )
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(bound, bound, fc.integer({ min: 0, max: 40 }), fc.boolean(), (...asked) =>
              Effect.runPromise(run(...asked))
            ),
            { numRuns: 200 }
          )
        )
        for (const count of [0, 1, 2, 3, 1_999, 2_000]) {
          assert.deepStrictEqual(yield* real.newest(channel, count), yield* memory.newest(channel, count))
        }
      }),
    120_000
  )
})
