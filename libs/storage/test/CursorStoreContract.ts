/** What every CursorStore promises. Each backend runs it; users and channels have fresh names. */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import { CursorStore, laterCursor } from "../src/CursorStore.ts"
import { freshChannel } from "./History.ts"

const freshUser = (): string => `u-${randomUUID()}`

const positions = fc.array(
  fc.record({ generation: fc.integer({ min: 0, max: 3 }), seq: fc.integer({ min: 0, max: 5 }) }),
  { minLength: 1, maxLength: 12 }
)

export const cursorStoreContract = <E>(name: string, layer: Layer.Layer<CursorStore, E>): void => {
  describe(`${name} keeps the CursorStore contract`, () => {
    withLayer(layer)((it) => {
      it.effect("a user reads what was merged, nobody else's", () =>
        Effect.gen(function* () {
          const store = yield* CursorStore
          const [ann, bob, a, b] = [freshUser(), freshUser(), freshChannel(), freshChannel()]
          const at = (seq: number) => ({ generation: 0, seq })
          yield* store.merge(ann, [
            { channel: a, position: at(4) },
            { channel: b, position: at(9) }
          ])
          yield* store.merge(bob, [{ channel: a, position: at(7) }])
          const read = yield* store.read(ann)
          assert.deepStrictEqual(
            read.toSorted((x, y) => x.position.seq - y.position.seq),
            [
              { channel: a, position: at(4) },
              { channel: b, position: at(9) }
            ]
          )
          const members = (yield* store.ofChannel(a)).toSorted((x, y) => x.position.seq - y.position.seq)
          assert.deepStrictEqual(members, [
            { user: ann, position: at(4) },
            { user: bob, position: at(7) }
          ])
          assert.deepStrictEqual(yield* store.read(freshUser()), [])
          assert.deepStrictEqual(yield* store.ofChannel(freshChannel()), [])
        })
      )

      it.effect("†5 mark unread moves a cursor back by a larger generation, and nothing old moves it again", () =>
        Effect.gen(function* () {
          const store = yield* CursorStore
          const [user, channel] = [freshUser(), freshChannel()]
          for (const [generation, seq] of [
            [0, 90],
            [17, 40],
            [0, 95],
            [17, 39],
            [17, 41]
          ] as const) {
            yield* store.merge(user, [{ channel, position: { generation, seq } }])
          }
          assert.deepStrictEqual(yield* store.read(user), [{ channel, position: { generation: 17, seq: 41 } }])
        })
      )

      it.effect(
        "merging commutes and may be repeated",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<CursorStore>())
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(positions, fc.infiniteStream(fc.nat()), (written, seed) =>
                  run(
                    Effect.gen(function* () {
                      const store = yield* CursorStore
                      const [user, channel] = [freshUser(), freshChannel()]
                      const order = [...written, ...written]
                        .map((position) => ({ position, key: seed.next().value ?? 0 }))
                        .sort((a, b) => a.key - b.key)
                      yield* store.merge(
                        user,
                        order.map(({ position }) => ({ channel, position }))
                      )
                      const expected = written.reduce(laterCursor)
                      assert.deepStrictEqual(yield* store.read(user), [{ channel, position: expected }])
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
