import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import type { ChannelLoad, ChannelStore, StoredChannel } from "@parley/storage/ChannelStore"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { type ColdAnswer, ColdChannels, coldChannelsWaitingMax, questionsAtOnce } from "../../src/owner/ColdChannels.ts"

const rowOf = (channel: string): StoredChannel => ({
  row: {
    channel,
    generation: 1,
    seq: 1,
    n: 0,
    name: channel,
    topic: "",
    fanout: "write",
    createdAt: 1,
    members: 0,
    idBound: 0
  },
  newest: undefined,
  stays: []
})

/** A store whose questions are answered when the test says so. */
const heldStore = () => {
  const asked: Array<ReadonlyArray<string>> = []
  const depths: Array<ReadonlyArray<number>> = []
  const held: Array<() => void> = []
  let fails = false
  const store: ChannelStore["Service"] = {
    write: () => Effect.void,
    load: ({ channels, newestSeqs }: ChannelLoad) =>
      Effect.suspend(() => {
        asked.push(channels)
        depths.push(newestSeqs)
        return fails
          ? Effect.fail(new StoreUnavailable({ store: "test", cause: new Error("away") }))
          : Effect.succeed(channels.map((channel) => (channel === "none" ? undefined : rowOf(channel))))
      })
  }
  const run = <A, E>(
    effect: Effect.Effect<A, E>,
    done: (result: { readonly ok: A } | { readonly error: unknown }) => void
  ): void => {
    const result = Effect.runSyncExit(effect)
    held.push(() => done(result._tag === "Success" ? { ok: result.value } : { error: result.cause }))
  }
  return {
    asked,
    depths,
    cold: new ColdChannels(store, run),
    fail: () => (fails = true),
    answer: () => held.shift()?.(),
    get underWay() {
      return held.length
    }
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("cold channels", () => {
  it("of one turn share questions, and each gets its own answer", async () => {
    const world = heldStore()
    const answers = new Map<string, ColdAnswer>()
    const channels = [...Array.from({ length: 100 }, (_, at) => `c${at}`), "none"]
    for (const channel of channels) world.cold.load(channel, 50, (answer) => answers.set(channel, answer))
    expect(answers.size).toBe(0)
    await turn()
    expect(world.asked.map(({ length }) => length)).toEqual([64, 37])
    while (world.underWay > 0) world.answer()
    for (const channel of channels) {
      expect(answers.get(channel)).toEqual({ stored: channel === "none" ? undefined : rowOf(channel) })
    }
  })

  it("share a question whatever is asked of each", async () => {
    const world = heldStore()
    for (const depth of [1, 50, 1]) world.cold.load("c", depth, () => {})
    await turn()
    expect(world.depths).toEqual([[1, 50, 1]])
  })

  it("wait while enough questions are under way, and then go together", async () => {
    const world = heldStore()
    let answered = 0
    for (let at = 0; at < questionsAtOnce; at++) {
      world.cold.load(`first${at}`, 50, () => answered++)
      await turn()
    }
    for (let at = 0; at < 50; at++) {
      world.cold.load(`then${at}`, 50, () => answered++)
      if (at % 10 === 0) await turn()
    }
    expect(world.asked.length).toBe(questionsAtOnce)
    expect(world.cold.waiting).toBe(50)
    world.answer()
    expect(world.asked.length).toBe(questionsAtOnce + 1)
    expect(world.asked[questionsAtOnce]?.length).toBe(50)
    while (world.underWay > 0) world.answer()
    expect(answered).toBe(50 + questionsAtOnce)
  })

  it("are told when the store can't be asked, and when too many wait", async () => {
    const world = heldStore()
    world.fail()
    const answers: Array<ColdAnswer> = []
    world.cold.load("one", 50, (answer) => answers.push(answer))
    await turn()
    world.answer()
    expect(answers).toEqual([undefined])
    const ignore = () => {}
    while (world.cold.waiting < coldChannelsWaitingMax) world.cold.load("many", 50, ignore)
    world.cold.load("too many", 50, (answer) => answers.push(answer))
    await Promise.resolve()
    expect(answers).toEqual([undefined, undefined])
    expect(world.cold.waiting).toBe(coldChannelsWaitingMax)
  })
})
