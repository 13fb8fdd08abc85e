/** The directory in Cassandra keeps the contract of its seam, and its rows are the same whoever wrote them, and how. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra } from "../../src/cassandra/CassandraDirectory.ts"
import { type ChannelRow, Directory, type Membership } from "../../src/Directory.ts"
import type { Write } from "../../src/cassandra/Cql.ts"
import { StoreRefused } from "../../src/StoreError.ts"
import { directoryContract } from "../DirectoryContract.ts"
import { freshChannel } from "../History.ts"
import { keyspaceOfFile } from "./FileKeyspace.ts"
import { administer } from "./TestKeyspace.ts"

const keyspace = keyspaceOfFile()
const layer = Layer.provideMerge(layerCassandra, Layer.unwrap(Effect.map(keyspace, Cassandra.layer)))

directoryContract("Cassandra", layer, "kept")

const row = (channel: string, generation: number, seq: number): ChannelRow => ({
  channel,
  generation,
  seq,
  n: seq,
  name: `name ${generation}.${seq}`,
  topic: "",
  fanout: "write",
  createdAt: 5,
  members: seq,
  idBound: (seq * 7) % 11
})

const steps = fc.array(
  fc.record({
    what: fc.constantFrom("row", "move", "stay", "end"),
    generation: fc.integer({ min: 1, max: 2 }),
    seq: fc.integer({ min: 1, max: 30 })
  }),
  { minLength: 1, maxLength: 25 }
)
type Step = typeof steps extends fc.Arbitrary<infer A> ? A : never

/** What is there after these steps, whatever their order. */
const expectedRow = (channel: string, all: Step extends ReadonlyArray<infer One> ? ReadonlyArray<One> : never) => {
  const later = (a: { generation: number; seq: number }, b: { generation: number; seq: number }) =>
    a.generation - b.generation || a.seq - b.seq
  const settings = all
    .filter(({ what }) => what === "row")
    .toSorted(later)
    .at(-1)
  const placed = all.filter(({ what }) => what === "row" || what === "move").toSorted(later)
  const place = placed.at(-1)
  if (settings === undefined || place === undefined) return Option.none()
  return Option.some({
    ...row(channel, settings.generation, settings.seq),
    generation: place.generation,
    seq: place.seq,
    n: place.seq,
    idBound: Math.max(...placed.map(({ seq }) => (seq * 7) % 11))
  })
}

describe("The directory in Cassandra", () => {
  it.live(
    "†32 has the same rows after the same writes, in any order, repeated, by two writers at once",
    () =>
      Effect.gen(function* () {
        const options = yield* keyspace
        const [one, two] = [yield* Layer.build(Layer.fresh(layer)), yield* Layer.build(Layer.fresh(layer))]
        const [first, second] = [Context.get(one, Directory), Context.get(two, Directory)]
        const property = fc.asyncProperty(steps, fc.infiniteStream(fc.nat()), (all, seed) =>
          Effect.runPromise(
            Effect.gen(function* () {
              const [channel, user] = [freshChannel(), `u-${randomUUID()}`]
              const stayOf = (seq: number, to: number | null): Membership => ({
                channel,
                user,
                role: "member",
                from: seq * 100,
                to,
                seq: to ?? seq * 100
              })
              const write = (directory: Directory["Service"]) => {
                const order = [...all, ...all]
                  .map((step) => ({ step, key: seed.next().value ?? 0 }))
                  .sort((a, b) => a.key - b.key)
                return Effect.forEach(
                  order,
                  ({ step: { generation, seq, what } }) => {
                    const { idBound, n } = row(channel, generation, seq)
                    if (what === "row") return directory.writeChannels([row(channel, generation, seq)])
                    if (what === "move") return directory.moveChannels([{ channel, generation, seq, n, idBound }])
                    return directory.writeMembers([stayOf(seq, what === "end" ? seq * 100 + 50 : null)])
                  },
                  { discard: true }
                )
              }
              yield* Effect.all([write(first), write(second)], { concurrency: 2 })
              assert.deepStrictEqual(yield* second.channel(channel), expectedRow(channel, all))
              const froms = [...new Set(all.flatMap(({ seq, what }) => (/row|move/.test(what) ? [] : [seq])))]
              const ended = (seq: number) => all.some((step) => step.what === "end" && step.seq === seq)
              const stays = froms
                .toSorted((a, b) => a - b)
                .map((seq) => stayOf(seq, ended(seq) ? seq * 100 + 50 : null))
              assert.deepStrictEqual(yield* first.membership(channel, user), stays)
              assert.deepStrictEqual(yield* second.members(channel, "", 10), stays)
              const latest = stays.at(-1)
              assert.deepStrictEqual(yield* first.channelsOf(user), latest?.to === null ? [latest] : [])
              const listed = yield* second.channelIds(channel.slice(0, -1), 1)
              assert.strictEqual(
                listed[0] === channel,
                all.some(({ what }) => what === "row")
              )
            })
          )
        )
        yield* Effect.promise(() => fc.assert(property, { numRuns: 15 }))

        // All of it under the timestamps of its positions: a clock's would be a thousand times as large.
        const columns = {
          channels: "seq name id_bound",
          channel_ids: "listed",
          member_buckets: "used",
          members_by_channel: "last role seq",
          channels_by_user: "first last role seq"
        }
        for (const [table, names] of Object.entries(columns)) {
          for (const name of names.split(" ")) {
            const rows = yield* administer(options, `SELECT WRITETIME(${name}) AS t FROM ${options.keyspace}.${table}`)
            assert.isAbove(rows.length, 0, `${table} is empty`)
            for (const found of rows) assert.isBelow(Number(found.get("t") ?? 0), 3 * 2 ** 40, `${table}.${name}`)
          }
        }
      }),
    120_000
  )

  it.live("what has no position is refused, and nothing of it is written", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const [good, bad] = [freshChannel(), freshChannel()]
      const error = yield* Effect.flip(directory.writeChannels([row(good, 1, 1), row(bad, 2 ** 23, 1)]))
      assert.instanceOf(error, StoreRefused)
      assert.isTrue(Option.isNone(yield* directory.channel(good)))
    }).pipe(Effect.provide(layer))
  )

  it.live("†29 a channel's id bound is written with the values that it belongs to, or none of them is", () =>
    Effect.gen(function* () {
      const requests: Array<ReadonlyArray<Write>> = []
      const recording = Layer.mock(Cassandra, {
        writeAll: (batches) => Effect.sync(() => void requests.push(...batches.map(({ writes }) => writes)))
      })
      yield* Effect.gen(function* () {
        const directory = yield* Directory
        const channel = freshChannel()
        yield* directory.writeChannels(Array.from({ length: 101 }, (_, at) => row(channel, 1, at + 1)))
        yield* directory.moveChannels([{ channel, generation: 1, seq: 200, n: 9, idBound: 7 }])
      }).pipe(Effect.provide(Layer.fresh(layerCassandra).pipe(Layer.provide(recording))))
      const ofRows = requests.filter((writes) => writes.some(({ query }) => query.startsWith("UPDATE channels ")))
      assert.isAbove(ofRows.length, 3)
      for (const writes of ofRows) {
        const bounds = writes.filter(({ query }) => query.includes("SET id_bound"))
        const places = writes.filter(({ query }) => query.includes(" generation = ?"))
        assert.strictEqual(bounds.length, places.length)
      }
    })
  )
})
