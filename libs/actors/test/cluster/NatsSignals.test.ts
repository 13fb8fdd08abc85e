import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import { damagedTimes } from "@parley/actors/cluster/NatsSignals"
import { lossy, natsConnection, newPrefix, type TestProcess, testProcess, until } from "./Nats.ts"

/** What a process hears, in order. */
const hearing = (process: TestProcess) => {
  const heard: Array<unknown> = []
  process.signals.onCommitted((shard) => heard.push(["committed", shard]), "anywhere")
  process.signals.onStored((shard, position, parked) => heard.push(["stored", shard, position, parked]))
  process.signals.onReleased((entity) => heard.push(["released", entity]))
  process.signals.onDamaged((shard, what) => heard.push(["damaged", shard, what]))
  return heard
}

const parked: ParkedEntity = { shard: 2, topic: "channel", id: "group:Ж", count: 3 }

describe("hints over NATS", () => {
  it.live("are heard at once here, and soon in the other processes, each once", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const one = yield* testProcess(prefix)
      const two = yield* testProcess(prefix, { server: 1 })
      const [here, there] = [hearing(one), hearing(two)]
      const own: Array<number> = []
      for (const { signals } of [one, two]) signals.onCommitted((shard) => own.push(shard), "here")
      const released = { shard: 2, topic: "channel", id: "group:Ж", seq: 9 } as const
      one.signals.committed(1)
      one.signals.stored(2, 40, [parked])
      one.signals.released(released)
      one.signals.damaged(3, "a hash that differs")
      const all = [
        ["committed", 1],
        ["stored", 2, 40, [parked]],
        ["released", released],
        ["damaged", 3, "a hash that differs"]
      ]
      assert.deepStrictEqual(here, all)
      yield* until("the other one has heard", () => there.length >= 4)
      assert.deepStrictEqual(there, all)
      assert.deepStrictEqual(here, all)
      // Who works on what he owns need not know what others commit.
      assert.deepStrictEqual(own, [1])
    }).pipe(Effect.scoped)
  )

  it.live("of many commits are one message, and each shard is named once", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const one = yield* testProcess(prefix)
      const two = yield* testProcess(prefix)
      const there = hearing(two)
      for (let i = 0; i < 10_000; i++) one.signals.committed((i % 16) + 1)
      yield* until("the other one has heard", () => there.length >= 16)
      assert.strictEqual(there.length, 16)
      assert.strictEqual(one.bus.signals.counts.published, 1)
    }).pipe(Effect.scoped)
  )

  it.live("of the store that were lost are said again, without what was released meanwhile", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      let losing = true
      const calls = lossy(yield* natsConnection(), () => losing)
      const one = yield* testProcess(prefix, { calls })
      const two = yield* testProcess(prefix)
      const there = hearing(two)
      one.signals.stored(2, 40, [parked])
      one.signals.released({ shard: 2, topic: "channel", id: parked.id, seq: 9 })
      yield* until("it was said in vain", () => one.bus.signals.counts.published === 1)
      losing = false
      one.bus.signals.repeat()
      yield* until("it was heard", () => there.length > 0)
      assert.deepStrictEqual(there, [["stored", 2, 40, []]])
    }).pipe(Effect.scoped)
  )

  it.live("of what is parked are not said again by who worked on the shard before, once another has released it", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const before = yield* testProcess(prefix)
      const after = yield* testProcess(prefix)
      const owner = hearing(yield* testProcess(prefix))
      before.signals.stored(2, 40, [parked])
      yield* until("it was heard", () => owner.length === 1)
      const heard = hearing(before)
      after.signals.released({ shard: 2, topic: "channel", id: parked.id, seq: 9 })
      // By each of them: one may hear it well before the other.
      yield* until("it was released", () => owner.length === 2 && heard.length === 1)
      before.bus.signals.repeat()
      yield* until("it was said again", () => owner.length === 3)
      assert.deepStrictEqual(owner[2], ["stored", 2, 40, []])
      assert.lengthOf(heard, 1)
    }).pipe(Effect.scoped)
  )

  it.live("of the store that are older than what was heard are nobody's, so a shard that moved is not set back", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const before = yield* testProcess(prefix)
      const after = yield* testProcess(prefix)
      const owner = hearing(yield* testProcess(prefix))
      before.signals.stored(2, 40, [])
      yield* until("the first one was heard", () => owner.length === 1)
      after.signals.stored(2, 50, [parked])
      yield* until("the second one was heard", () => owner.length === 2)
      // What the one before says now, it says from what it knew; and it has heard that another one is further.
      before.bus.signals.repeat()
      before.signals.stored(2, 45, [])
      before.signals.committed(9)
      yield* until("something else was heard", () => owner.length > 2)
      assert.deepStrictEqual(owner, [
        ["stored", 2, 40, []],
        ["stored", 2, 50, [parked]],
        ["committed", 9]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("of damage are said a few times and then no more, for by then it may be mended", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const one = yield* testProcess(prefix)
      const there = hearing(yield* testProcess(prefix))
      one.signals.damaged(3, "torn")
      for (let times = 1; times <= damagedTimes; times++) {
        yield* until("it was heard again", () => there.length === times)
        one.bus.signals.repeat()
      }
      one.signals.committed(1)
      yield* until("something else was heard", () => there.length > damagedTimes)
      assert.deepStrictEqual(there.at(-1), ["committed", 1])
    }).pipe(Effect.scoped)
  )
})
