/**
 * What Cassandra itself has of history, past all code that reads it: the same rows whoever wrote them in whichever order
 * (†32), no write by a clock, no text of what was deleted (†16).
 */
import { fromWire } from "@parley/protocol/WireText"
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import type { CassandraOptions } from "../../src/cassandra/CassandraClient.ts"
import { layerCassandra } from "../../src/cassandra/CassandraMessageStore.ts"
import { generationLimit, seqLimit, timestampOf } from "../../src/cassandra/Cql.ts"
import { MessageStore, type StoredEvent } from "../../src/MessageStore.ts"
import { StoreRefused } from "../../src/StoreError.ts"
import { freshChannel, History } from "../History.ts"
import { batchSizes, seeds, senders, shuffled } from "../MessageStoreModel.ts"
import { RawKeyspace } from "./RawRows.ts"

const storeOver = (options: CassandraOptions) =>
  Effect.map(Layer.build(Layer.fresh(Layer.provide(layerCassandra, Cassandra.layer(options)))), (context) =>
    Effect.provide(MessageStore, context)
  ).pipe(Effect.flatten)

const plan = fc.array(
  fc.record({
    seq: fc.oneof(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 9_995, max: 10_005 })),
    generation: fc.constantFrom(1, 1, 1, 2, 3),
    kind: fc.constantFrom("message", "message", "edit", "delete", "added"),
    target: fc.integer({ min: 1, max: 11 })
  }),
  { minLength: 1, maxLength: 25 }
)
type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

/** One event a place and generation (ONE-ORDER), and only what was before it is changed. */
const eventsOf = (history: History, plan: Plan): ReadonlyArray<StoredEvent> => {
  const seen = new Set<string>()
  return plan.flatMap(({ seq, generation, kind, target }) => {
    const place = `${generation} ${seq}`
    if (seen.has(place) || target >= seq) return []
    seen.add(place)
    const options = { generation, by: senders[generation % 3] ?? "ann" }
    const text = `text ${place}`
    if (kind === "message") return [history.message(seq, text, options)]
    if (kind === "edit") return [history.edit(seq, target, text, options)]
    if (kind === "delete") return [history.delete(seq, target, options)]
    return [history.added(seq, options)]
  })
}

const inBatches = (events: ReadonlyArray<StoredEvent>, sizes: ReadonlyArray<number>) => {
  const batches: Array<ReadonlyArray<StoredEvent>> = []
  for (let at = 0, i = 0; at < events.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    batches.push(events.slice(at, at + size))
    at += size
  }
  return batches
}

const later = (a: StoredEvent, b: StoredEvent): number => a.generation - b.generation || a.seq - b.seq

withLayer(RawKeyspace.layer, { timeout: 60_000, excludeTestServices: true })("History in Cassandra", (it) => {
  it.effect(
    "†32 any number of writers at once, in any order, any number of times, give the same rows, column by column",
    () =>
      Effect.gen(function* () {
        const { options, rawColumns } = yield* RawKeyspace
        const writers = [yield* storeOver(options), yield* storeOver(options), yield* storeOver(options)]
        const run = (plan: Plan, seed: ReadonlyArray<number>, sizes: ReadonlyArray<number>) =>
          Effect.gen(function* () {
            const history = new History()
            const events = eventsOf(history, plan)
            const other = freshChannel()
            for (const event of events.toSorted(later)) yield* (writers[0] ?? writers[1])!.write([event])
            const writing = writers.map((store, i) => {
              const own = shuffled(
                events.map((it) => ({ ...it, channel: other })),
                seed.map((it) => it + i * 31)
              )
              return Effect.forEach(inBatches(own, sizes), (batch) => store.write(batch), { concurrency: i + 1 })
            })
            yield* Effect.all(writing, { concurrency: "unbounded" })
            assert.deepStrictEqual(yield* rawColumns(other), yield* rawColumns(history.channel))
          })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(plan, seeds, batchSizes, (plan, seed, sizes) => Effect.runPromise(run(plan, seed, sizes))),
            { numRuns: 60 }
          )
        )
      }),
    120_000
  )

  it.effect(
    "†32 every column was written at a position of the sequence that owns it, never by a clock",
    () =>
      Effect.gen(function* () {
        const { execute, options, rawColumns } = yield* RawKeyspace
        const store = yield* storeOver(options)
        const run = (plan: Plan) =>
          Effect.gen(function* () {
            const history = new History()
            const events = eventsOf(history, [...plan, ...fullBlock])
            yield* store.write(events)
            yield* store.countUnread(history.channel, 0, 1e9, "zoe")
            const positions = new Set(events.map(timestampOf))
            const blanked = new Set<bigint>()
            for (const { generation, kind, seq, target } of events) {
              if (kind === "delete") blanked.add(timestampOf({ generation, seq: target }) + 1n)
              if (kind === "edit") blanked.add(timestampOf({ generation, seq }) + 1n)
            }
            for (const it of yield* rawColumns(history.channel)) {
              const where = `${it.table}.${it.column} of ${it.row}`
              if (it.column === "top") {
                assert.strictEqual(it.writetime, BigInt(it.value), where)
              } else if (it.table === "block_counts") {
                // as: the store wrote it
                const { seen } = JSON.parse(it.value) as { readonly seen: number }
                assert.strictEqual(it.writetime, BigInt(seen + 1), where)
              } else {
                const byEvent = positions.has(it.writetime) || (it.column === "body" && blanked.has(it.writetime))
                assert.isTrue(byEvent, `${where} at ${it.writetime}`)
              }
            }
          })
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(plan, (plan) => Effect.runPromise(run(plan))),
            { numRuns: 5 }
          )
        )
        const kept = yield* execute("SELECT count(*) AS n FROM block_counts")
        assert.isAbove(Number(kept[0]?.get("n")), 0)
      }),
    120_000
  )

  it.effect(
    "†16 what was deleted is in no row of any table, however its events raced",
    () =>
      Effect.gen(function* () {
        const { options, rawColumns } = yield* RawKeyspace
        const writers = [yield* storeOver(options), yield* storeOver(options)]
        for (let round = 0; round < 40; round++) {
          const history = new History()
          const events = [
            history.message(1, "secret", { mentions: ["bob"] }),
            history.edit(2, 1, "secret too"),
            history.edit(10_003, 1, "secret still", { mentions: ["bob"] }),
            history.delete(10_004, 1)
          ]
          const seed = [round * 7, round, round * 3 + 1]
          yield* Effect.forEach(shuffled(events, seed), (event, i) => (writers[i % 2] ?? writers[0])!.write([event]), {
            concurrency: 1 + (round % 4),
            discard: true
          })
          const columns = yield* rawColumns(history.channel)
          assert.isAbove(columns.length, 20)
          for (const { column, row, table, value } of columns) {
            const text = fromWire(value)
            assert.isFalse(text.includes("secret") || text.includes("bob"), `${table}.${column} of ${row}: ${text}`)
          }
        }
      }),
    120_000
  )

  it.effect(
    "the last place there is has a timestamp; beyond it a write is refused, and nothing of it is written",
    () =>
      Effect.gen(function* () {
        const { options, rawColumns } = yield* RawKeyspace
        const store = yield* storeOver(options)
        const history = new History()
        const last = { ...history.message(1, "last"), generation: generationLimit - 1, seq: seqLimit - 1 }
        yield* store.write([last])
        yield* store.write([{ ...history.delete(2, last.seq), generation: last.generation, seq: seqLimit - 2 }])
        const page = { after: seqLimit - 9, before: Number.MAX_SAFE_INTEGER, limit: 10, newest: true }
        assert.deepStrictEqual(
          (yield* store.messages(history.channel, page)).map(({ deleted, seq }) => ({ deleted, seq })),
          [{ deleted: true, seq: last.seq }]
        )
        const other = new History()
        const fine = other.message(1, "fine")
        for (const wrong of [
          { ...fine, seq: seqLimit },
          { ...fine, seq: 0 },
          { ...fine, generation: 0 },
          { ...fine, generation: generationLimit },
          { ...fine, target: -1 },
          { ...fine, cid: "no id" },
          { ...fine, body: "x".repeat(2 ** 20 + 1) }
        ]) {
          assert.instanceOf(yield* Effect.flip(store.write([fine, wrong])), StoreRefused)
        }
        assert.deepStrictEqual(yield* rawColumns(other.channel), [])
      }),
    60_000
  )
})

/** Places of a whole block of counts, so that it is kept. */
const fullBlock: Plan = Array.from({ length: 1_999 }, (_, i) => ({
  seq: i + 1,
  generation: 1,
  kind: "message",
  target: 0
}))
