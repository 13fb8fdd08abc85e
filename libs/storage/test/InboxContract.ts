/** What every Inbox promises. Each backend runs it; users and channels have fresh names. */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import { Inbox, writtenAt } from "../src/Inbox.ts"
import { freshChannel } from "./History.ts"

const freshUser = (): string => `u-${randomUUID()}`

export const inboxContract = <E>(name: string, layer: Layer.Layer<Inbox, E>): void => {
  describe(`${name} keeps the Inbox contract`, () => {
    withLayer(layer)((it) => {
      it.effect("†10 an inbox is those of the asked channels whose last message was not read", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [a, b, c, silent] = [freshChannel(), freshChannel(), freshChannel(), freshChannel()]
          yield* inbox.active([
            { channel: a, seq: 500 },
            { channel: b, seq: 3 },
            { channel: c, seq: 7 }
          ])
          const asked = (seqs: Record<string, number>) =>
            inbox
              .placesOf(Object.entries(seqs).map(([channel, seq]) => ({ channel, seq })))
              .pipe(Effect.map((places) => places.map(({ channel, seq }) => ({ channel, seq }))))
          assert.sameDeepMembers(
            [...(yield* asked({ [a]: 499, [b]: 0, [silent]: 0 }))],
            [
              { channel: a, seq: 500 },
              { channel: b, seq: 3 }
            ]
          )
          assert.deepStrictEqual(yield* asked({ [a]: 500, [b]: 3, [c]: 8 }), [])
          assert.deepStrictEqual(yield* asked({}), [])
        })
      )

      it.effect(
        "†10 a place is later than those before it, whatever the seqs, and a channel's last message gives it",
        () =>
          Effect.gen(function* () {
            const inbox = yield* Inbox
            const [a, b, c] = [freshChannel(), freshChannel(), freshChannel()]
            const inOrder = inbox
              .placesOf([a, b, c].map((channel) => ({ channel, seq: 0 })))
              .pipe(Effect.map((places) => places.toSorted((x, y) => y.place - x.place)))
            yield* inbox.active([
              { channel: a, seq: 500 },
              { channel: b, seq: 3 }
            ])
            yield* inbox.active([{ channel: c, seq: 40 }])
            const before = yield* inOrder
            assert.deepStrictEqual(
              before.map(({ channel }) => channel),
              [c, b, a]
            )
            assert.isAbove(before.at(-1)?.place ?? 0, 0)
            yield* inbox.active([{ channel: a, seq: 501 }])
            const after = yield* inOrder
            assert.deepStrictEqual(
              after.map(({ channel }) => channel),
              [a, c, b]
            )
            assert.isAbove(after[0]?.place ?? 0, before[0]?.place ?? 0)
            assert.deepStrictEqual(after.slice(1), before.slice(0, 2))
          })
      )

      it.effect("†10 a message that is noted late, or again, moves nothing", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [a, b] = [freshChannel(), freshChannel()]
          const places = inbox.placesOf([
            { channel: a, seq: 0 },
            { channel: b, seq: 0 }
          ])
          yield* inbox.active([
            { channel: a, seq: 7 },
            { channel: b, seq: 1 }
          ])
          const before = yield* places
          yield* inbox.active([
            { channel: a, seq: 7 },
            { channel: a, seq: 6 }
          ])
          assert.deepStrictEqual(yield* places, before)
        })
      )

      it.effect("mentions are counted in a range, by user and channel", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, channel] = [freshUser(), freshChannel()]
          yield* inbox.addMentions([1, 5, 9, 9].map((seq) => ({ user, channel, seq, at: seq })))
          yield* inbox.addMentions([
            { user: freshUser(), channel, seq: 6, at: 6 },
            { user, channel: freshChannel(), seq: 6, at: 6 }
          ])
          assert.strictEqual(yield* inbox.countMentions(user, channel, 0, 100), 3)
          assert.strictEqual(yield* inbox.countMentions(user, channel, 1, 9), 2)
          assert.strictEqual(yield* inbox.countMentions(user, channel, 9, 100), 0)
          assert.strictEqual(yield* inbox.countMentions(user, freshChannel(), 0, 100), 0)
        })
      )

      it.effect(
        "†32 a mention is as its latest event says, in any order of any repetition",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<Inbox>())
            const steps = fc.array(fc.record({ names: fc.boolean(), seq: fc.integer({ min: 1, max: 6 }) }), {
              maxLength: 20
            })
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(steps, fc.array(fc.nat(100), { minLength: 3, maxLength: 20 }), (steps, seed) =>
                  run(
                    Effect.gen(function* () {
                      const inbox = yield* Inbox
                      const [user, channel] = [freshUser(), freshChannel()]
                      const events = steps.map((step, at) => ({
                        ...step,
                        at: writtenAt({ generation: 1, seq: 10 + at })
                      }))
                      const late = events.toSorted(
                        (a, b) => (seed[a.at % seed.length] ?? 0) - (seed[b.at % seed.length] ?? 0)
                      )
                      for (const { at, names, seq } of [...late, ...events.toReversed()]) {
                        yield* names
                          ? inbox.addMentions([{ user, channel, seq, at }])
                          : inbox.removeMentions([{ user, channel, seq, at }])
                      }
                      const latest = new Map(events.map(({ names, seq }) => [seq, names]))
                      assert.strictEqual(
                        yield* inbox.countMentions(user, channel, 0, 100),
                        [...latest.values()].filter((names) => names).length
                      )
                    })
                  )
                ),
                { numRuns: 50 }
              )
            )
          }),
        30_000
      )
    })
  })
}
