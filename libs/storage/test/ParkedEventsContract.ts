/** What every ParkedEvents promises. Each backend runs it; consumers and entities have fresh names. */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { randomUUID } from "node:crypto"
import { type ParkedEvent, ParkedEvents } from "../src/ParkedEvents.ts"

const event = (consumer: string, id: string, seq: number, rest: Partial<ParkedEvent> = {}): ParkedEvent => ({
  consumer,
  topic: "channel",
  id,
  generation: 1,
  seq,
  shard: 3,
  kind: "message",
  why: "no",
  parkedAt: 5,
  event: new Uint8Array([0, 255, seq]),
  ...rest
})

export const parkedEventsContract = <E>(name: string, layer: Layer.Layer<ParkedEvents, E>): void => {
  describe(`${name} keeps the ParkedEvents contract`, () => {
    withLayer(layer)((it) => {
      it.effect("†26 what is parked of an entity comes back in order of its sequence, byte for byte", () =>
        Effect.gen(function* () {
          const parked = yield* ParkedEvents
          const [consumer, a, b] = [randomUUID(), `test:${randomUUID()}`, `test:${randomUUID()}`]
          const [ten, nine, next] = [
            event(consumer, a, 10),
            event(consumer, a, 9),
            event(consumer, a, 2, { generation: 2 })
          ] as const
          yield* parked.put([ten, nine, next, event(consumer, b, 1), event(consumer, a, 1, { topic: "user" })])
          assert.deepStrictEqual(yield* parked.of(consumer, "channel", a, 10), [nine, ten, next])
          assert.deepStrictEqual(yield* parked.of(consumer, "channel", a, 1), [nine])
          assert.deepStrictEqual(yield* parked.of(randomUUID(), "channel", a, 10), [])
        })
      )

      it.effect("†26 is put again with its time, and a new reason", () =>
        Effect.gen(function* () {
          const parked = yield* ParkedEvents
          const [consumer, id] = [randomUUID(), `test:${randomUUID()}`]
          yield* parked.put([event(consumer, id, 4)])
          yield* parked.put([event(consumer, id, 4, { why: "still no", parkedAt: 99 })])
          assert.deepStrictEqual(yield* parked.of(consumer, "channel", id, 10), [
            event(consumer, id, 4, { why: "still no" })
          ])
        })
      )

      it.effect("†26 is counted by entity, listed, and gone once removed", () =>
        Effect.gen(function* () {
          const parked = yield* ParkedEvents
          const [consumer, a, b] = [randomUUID(), `test:a-${randomUUID()}`, `test:b-${randomUUID()}`]
          yield* parked.put([event(consumer, b, 1), event(consumer, a, 1), event(consumer, a, 2)])
          assert.deepStrictEqual(yield* parked.entities(consumer), [
            { shard: 3, topic: "channel", id: a, count: 2 },
            { shard: 3, topic: "channel", id: b, count: 1 }
          ])
          const listed = (yield* parked.list(1_000)).filter((it) => it.consumer === consumer)
          assert.deepStrictEqual(
            listed.map(({ id, seq }) => [id, seq]),
            [
              [a, 1],
              [a, 2],
              [b, 1]
            ]
          )
          yield* parked.remove([event(consumer, a, 1), event(consumer, a, 7)])
          yield* parked.remove([event(consumer, b, 1)])
          assert.deepStrictEqual(yield* parked.entities(consumer), [{ shard: 3, topic: "channel", id: a, count: 1 }])
        })
      )
    })
  })
}
