import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerNatsRuntime } from "./NatsWorld.ts"
import { newId, shardCount, world } from "./World.ts"

describe("calls of which requests and answers are lost", () => {
  let messages = 0
  let lost = 0
  /** Every fourth, whichever way it goes. */
  const lose = () => {
    if (++messages % 4 !== 0) return false
    lost++
    return true
  }
  const layerLossyWorld = layerNatsRuntime({ shardCount, lose, tryMsMax: 100, retryMsMax: 20_000 }).pipe(
    Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
    Layer.provideMerge(layerMemoryStores)
  )

  it.live("EXACTLY-ONCE-EFFECT: every send has one effect and one ack, though each may be asked several times", () =>
    Effect.gen(function* () {
      const { create, history, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      const texts = Array.from({ length: 150 }, (_, i) => `m${i}`)
      const acks = yield* Effect.forEach(texts, (text) => send("ana", "group:one", text, newId()), { concurrency: 8 })
      assert.deepStrictEqual(
        acks.map((ack) => ack.n).sort((a, b) => a - b),
        texts.map((_, i) => i + 1)
      )
      const pages = [
        yield* history("ben", "group:one", { after: 0, limit: 100 }),
        yield* history("ben", "group:one", { after: 101, limit: 100 })
      ]
      const shown = pages.flatMap((page) => page.events.map(({ n, text }) => ({ n, text })))
      assert.deepStrictEqual(
        shown,
        acks.map(({ n }, i) => ({ n, text: texts[i] ?? "" })).sort((a, b) => a.n - b.n)
      )
      assert.isAbove(lost, 5)
    }).pipe(Effect.provide(layerLossyWorld))
  )
})
