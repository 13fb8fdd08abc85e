/** What every Inbox promises. Each backend runs it; users and channels have fresh names. */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import { Inbox } from "../src/Inbox.ts"
import { freshChannel } from "./History.ts"

const freshUser = (): string => `u-${randomUUID()}`

/** Without places: those only order. */
const list = (inbox: Inbox["Service"], user: string, limit: number) =>
  Effect.map(inbox.list(user, limit), (entries) => entries.map(({ channel, seq, user }) => ({ user, channel, seq })))

export const inboxContract = <E>(name: string, layer: Layer.Layer<Inbox, E>): void => {
  describe(`${name} keeps the Inbox contract`, () => {
    withLayer(layer)((it) => {
      it.effect("lists channels by when they came in, newest first, whatever their seqs", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, a, b, c] = [freshUser(), freshChannel(), freshChannel(), freshChannel()]
          yield* inbox.add([
            { user, channel: a, seq: 500 },
            { user, channel: b, seq: 3 }
          ])
          yield* inbox.add([
            { user, channel: c, seq: 40 },
            { user: freshUser(), channel: c, seq: 40 }
          ])
          const listed = yield* list(inbox, user, 10)
          assert.deepStrictEqual(listed, [
            { user, channel: c, seq: 40 },
            { user, channel: b, seq: 3 },
            { user, channel: a, seq: 500 }
          ])
          assert.deepStrictEqual(
            (yield* list(inbox, user, 2)).map((it) => it.channel),
            [c, b]
          )
          assert.deepStrictEqual(yield* list(inbox, freshUser(), 10), [])
        })
      )

      it.effect("†10 a place is later than those before it, and stays while the channel is there", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, a, b] = [freshUser(), freshChannel(), freshChannel()]
          yield* inbox.add([{ user, channel: a, seq: 1 }])
          const [first] = yield* inbox.list(user, 10)
          yield* inbox.add([
            { user, channel: b, seq: 1 },
            { user, channel: a, seq: 2 }
          ])
          const [later, same] = yield* inbox.list(user, 10)
          assert.deepStrictEqual(same?.place, first?.place)
          assert.isAbove(later?.place ?? 0, first?.place ?? 0)
          assert.isAbove(first?.place ?? 0, 0)
        })
      )

      it.effect("†10 a channel that is in it already keeps its place", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, a, b] = [freshUser(), freshChannel(), freshChannel()]
          yield* inbox.add([
            { user, channel: a, seq: 1 },
            { user, channel: b, seq: 1 }
          ])
          yield* inbox.add([{ user, channel: a, seq: 2 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [
            { user, channel: b, seq: 1 },
            { user, channel: a, seq: 1 }
          ])
        })
      )

      it.effect("reading takes a channel out, unless a later seq put it there", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, channel] = [freshUser(), freshChannel()]
          yield* inbox.add([{ user, channel, seq: 7 }])
          yield* inbox.remove(user, [{ channel, seq: 6 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [{ user, channel, seq: 7 }])
          yield* inbox.remove(user, [{ channel, seq: 7 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [])
          yield* inbox.add([{ user, channel, seq: 8 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [{ user, channel, seq: 8 }])
        })
      )

      it.effect("a put that comes late, or again, does not bring back what was read", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, channel] = [freshUser(), freshChannel()]
          yield* inbox.remove(user, [{ channel, seq: 7 }])
          yield* inbox.add([{ user, channel, seq: 7 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [])
          yield* inbox.add([{ user, channel, seq: 8 }])
          yield* inbox.remove(user, [{ channel, seq: 3 }])
          assert.deepStrictEqual(yield* list(inbox, user, 10), [{ user, channel, seq: 8 }])
        })
      )

      it.effect("a channel that comes back comes in first", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, a, b] = [freshUser(), freshChannel(), freshChannel()]
          yield* inbox.add([
            { user, channel: a, seq: 1 },
            { user, channel: b, seq: 1 }
          ])
          yield* inbox.remove(user, [{ channel: a, seq: 1 }])
          yield* inbox.add([{ user, channel: a, seq: 2 }])
          assert.deepStrictEqual(
            (yield* list(inbox, user, 10)).map((it) => it.channel),
            [a, b]
          )
        })
      )

      it.effect("mentions are counted in a range, by user and channel", () =>
        Effect.gen(function* () {
          const inbox = yield* Inbox
          const [user, channel] = [freshUser(), freshChannel()]
          yield* inbox.addMentions([1, 5, 9, 9].map((seq) => ({ user, channel, seq })))
          yield* inbox.addMentions([
            { user: freshUser(), channel, seq: 6 },
            { user, channel: freshChannel(), seq: 6 }
          ])
          assert.strictEqual(yield* inbox.countMentions(user, channel, 0, 100), 3)
          assert.strictEqual(yield* inbox.countMentions(user, channel, 1, 9), 2)
          assert.strictEqual(yield* inbox.countMentions(user, channel, 9, 100), 0)
          assert.strictEqual(yield* inbox.countMentions(user, freshChannel(), 0, 100), 0)
        })
      )

      it.effect(
        "a removed mention never comes back, in any order of any repetition",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<Inbox>())
            const steps = fc.array(fc.record({ add: fc.boolean(), seq: fc.integer({ min: 1, max: 6 }) }), {
              maxLength: 20
            })
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(steps, (steps) =>
                  run(
                    Effect.gen(function* () {
                      const inbox = yield* Inbox
                      const [user, channel] = [freshUser(), freshChannel()]
                      for (const { add, seq } of [...steps, ...steps.toReversed()]) {
                        yield* add
                          ? inbox.addMentions([{ user, channel, seq }])
                          : inbox.removeMentions([{ user, channel, seq }])
                      }
                      const removed = new Set(steps.filter((it) => !it.add).map((it) => it.seq))
                      const left = new Set(steps.filter((it) => it.add && !removed.has(it.seq)).map((it) => it.seq))
                      assert.strictEqual(yield* inbox.countMentions(user, channel, 0, 100), left.size)
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
