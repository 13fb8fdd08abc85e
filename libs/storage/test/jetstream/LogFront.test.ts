import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { afterAll } from "vitest"
import { EventLog } from "../../src/EventLog.ts"
import { frontBytesMin, LogFront, type StreamFront } from "../../src/jetstream/LogFront.ts"
import { LogStreams } from "../../src/jetstream/LogStreams.ts"
import { connectNats } from "../../src/jetstream/Nats.ts"
import { commit } from "../EventLogContract.ts"
import { logLayer, natsLogin, natsServers, ownPrefix, removeStreams } from "./TestNats.ts"

/** One stream of records of a megabyte each, by shard their places; and what is done to it. */
class FakeStream {
  readonly places = new Map<number, Array<number>>()
  readonly notes = new Map<number, number>()
  readonly cuts: Array<number> = []
  readonly asked: Array<number> = []
  known = new Map<number, number>()
  first = 1
  last = 0
  /** A leader that was deposed: it has nothing above. */
  leaderLast = Infinity

  append(shard: number, count = 1): number {
    for (let i = 0; i < count; i++) this.places.set(shard, [...(this.places.get(shard) ?? []), ++this.last])
    this.known.set(shard, this.last)
    return this.last
  }

  readonly front = new LogFront({
    streams: new LogStreams("fake", 1, 16),
    softBytes: 1e12,
    positions: {
      move: (_name, shard, position) => void this.notes.set(shard, Math.max(position, this.notes.get(shard) ?? 0)),
      store: async () => {},
      stored: async () => (shard) => this.notes.get(shard) ?? 0
    },
    reads: {
      known: (shard) => this.known.get(shard) ?? 0,
      newest: () => Math.max(0, ...this.known.values()),
      last: async (shard) => {
        this.asked.push(shard)
        const position = this.places.get(shard)?.at(-1)
        return position === undefined ? undefined : { position }
      },
      purged: () => {}
    },
    look: async (): Promise<StreamFront> => {
      const last = Math.min(this.last, this.leaderLast)
      return { first: this.first, last, bytes: 1_000_000 * (last - this.first + 1), shards: [...this.places.keys()] }
    },
    cut: async (_stream, upTo) => {
      this.cuts.push(upTo)
      this.first = upTo + 1
      for (const [shard, places] of this.places) {
        const left = places.filter((place) => place > upTo)
        if (left.length === 0) throw new Error(`shard ${shard} lost its last record`)
        const gone = places.filter((place) => place <= upTo).at(-1) ?? 0
        if (gone > (this.notes.get(shard) ?? 0)) throw new Error(`shard ${shard} lost what it had not spared`)
        this.places.set(shard, left)
      }
    }
  })
}

const prefix = ownPrefix()
afterAll(() => removeStreams(prefix))

describe("the front of a stream", () => {
  it.effect("goes as far as all shards spare it, and not for little", () =>
    Effect.promise(async () => {
      const stream = new FakeStream()
      const [one, two] = [stream.append(1, 30), stream.append(2, 30)]
      stream.append(1)
      stream.append(2)
      assert.isFalse(await stream.front.spare(1, one))
      assert.deepStrictEqual(stream.cuts, [])
      assert.isTrue(await stream.front.spare(2, two))
      assert.deepStrictEqual(stream.cuts, [one])
      // A few megabytes more are not worth it.
      stream.append(1, 30)
      assert.isFalse(await stream.front.spare(1, one + 5))
      assert.isTrue(await stream.front.spare(1, one + 20))
      assert.deepStrictEqual(stream.cuts, [one, one + 20])
    })
  )

  it.effect("waits for a shard that has said nothing, which the leader lists", () =>
    Effect.promise(async () => {
      const stream = new FakeStream()
      stream.append(3)
      const one = stream.append(1, 40)
      stream.append(1)
      assert.isFalse(await stream.front.spare(1, one))
      // One that came after the last look.
      stream.append(3)
      await stream.front.spare(3, 1)
      assert.deepStrictEqual(stream.cuts, [])
    })
  )

  it.effect("†27 keeps every last record, whatever the notes say: the stream may have come back with less", () =>
    Effect.promise(async () => {
      const stream = new FakeStream()
      stream.append(1, 20)
      const only = stream.append(2)
      stream.append(1, 40)
      // Nothing that this node itself has seen.
      stream.known = new Map()
      stream.notes.set(2, 1_000)
      assert.isTrue(await stream.front.spare(1, 50))
      assert.deepStrictEqual(stream.cuts, [only - 1])
      assert.include(stream.asked, 2)
    })
  )

  it.effect("†27 stays where the leader knows less than this node", () =>
    Effect.promise(async () => {
      const stream = new FakeStream()
      stream.append(1, 60)
      stream.leaderLast = 40
      assert.isFalse(await stream.front.spare(1, 30))
      stream.leaderLast = Infinity
      assert.isTrue(await stream.front.spare(1, 31))
    })
  )

  it.effect("†27 takes nothing that was not spared, nor a last record, in any order of appends and notes", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ shard: fc.integer({ min: 1, max: 4 }), spares: fc.boolean(), part: fc.nat(10) }), {
            maxLength: 120
          }),
          async (steps) => {
            // A cut that takes a last record, or what was not spared, throws.
            const stream = new FakeStream()
            for (const { part, shard, spares } of steps) {
              const places = stream.places.get(shard) ?? []
              if (!spares) stream.append(shard, 1 + part)
              else if (places.length > 0)
                await stream.front.spare(shard, places[Math.floor((places.length * part) / 11)] ?? 0)
            }
          }
        )
      )
    )
  )

  it.live("of a real stream goes for two nodes that work on its shards, and a shard that rests keeps its record", () =>
    Effect.gen(function* () {
      const node = Effect.flatMap(Layer.build(Layer.fresh(logLayer({ prefix, softBytes: 2_000_000 }))), (context) =>
        EventLog.pipe(Effect.provide(context))
      )
      const [one, two] = [yield* node, yield* node]
      const connection = yield* connectNats({ servers: natsServers(), name: "test", ...natsLogin() })
      const manager = yield* Effect.promise(() => jetstreamManager(connection))
      const first = Effect.promise(async () => (await manager.streams.info(`${prefix}-log-0`)).state.first_seq)
      const bytes = new Uint8Array(10_000)
      const resting = yield* commit(two, 3, 0, "rests")
      let [a, b] = [0, 0]
      for (let turn = 0; turn < 20; turn++) {
        a = yield* commit(one, 1, a, bytes)
        b = yield* commit(two, 2, b, bytes)
      }
      // One who did not write them knows that there was more than it took, also where it took little.
      assert.strictEqual(two.known(1), 0)
      assert.isAtMost((yield* two.readAfter(1, 0, 25_000)).length, 2)
      assert.isAbove(two.known(1), (yield* two.readAfter(1, 0, 25_000)).at(-1)?.position ?? 0)
      yield* one.spare(1, a - 1)
      yield* two.spare(2, b - 1)
      assert.strictEqual(yield* first, resting)
      // Whatever it says itself.
      yield* two.spare(3, b)
      assert.strictEqual(yield* first, resting)
      assert.isAtLeast(two.newest(3), b)
      const moved = yield* commit(two, 3, resting, "again")
      yield* two.spare(3, moved - 1)
      // What the other node noted is seen a little later.
      yield* two
        .spare(2, b - 1)
        .pipe(
          Effect.andThen(Effect.delay(first, "100 millis")),
          Effect.repeat({ until: (from) => from === a }),
          Effect.timeout("15 seconds")
        )
      // Who did not write them has none of them in memory.
      const other = yield* node
      const left = (shard: number) =>
        Effect.map(other.readAfter(shard, 0, 1_000_000), (records) => records.map(({ position }) => position))
      assert.deepStrictEqual(yield* left(1), [a])
      assert.deepStrictEqual(yield* left(2), [b])
      assert.deepStrictEqual(yield* left(3), [moved])
      assert.isAbove(yield* commit(one, 1, a, "on"), moved)
      assert.isAbove(frontBytesMin, 20 * 10_000)
    }).pipe(Effect.scoped)
  )
})
