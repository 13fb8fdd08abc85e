import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import type { AppendOutcome } from "../../src/EventLog.ts"
import { MemoryEventLog } from "../../src/memory/MemoryEventLog.ts"
import { append, commit, text } from "../EventLogContract.ts"

describe("the memory log's faults", () => {
  it.effect("refuse, leave in doubt (written or not) or misname the last record, for one append of a shard", () =>
    Effect.gen(function* () {
      const { service: log, faults } = MemoryEventLog.make()
      faults.refuseNext("full", 1)
      yield* commit(log, 2, 0, "other shard")
      assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "Refused", reason: "full" })
      faults.ambiguousNext({ written: false })
      faults.ambiguousNext({ written: true })
      faults.wrongSequenceNext(40)
      assert.strictEqual((yield* append(log, 1, 0, "a"))._tag, "Ambiguous")
      assert.lengthOf(faults.records(1), 0)
      assert.strictEqual((yield* append(log, 1, 0, "a"))._tag, "Ambiguous")
      assert.lengthOf(faults.records(1), 1)
      assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "WrongSequence", actual: 40 })
      assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "WrongSequence", actual: 2 })
    })
  )

  it.effect("make reads stale for a while", () =>
    Effect.gen(function* () {
      const { service: log, faults } = MemoryEventLog.make()
      const first = yield* commit(log, 1, 0, "a")
      const second = yield* commit(log, 1, first, "b")
      faults.staleReads(1, 2)
      assert.deepStrictEqual(Option.map(yield* log.last(1), text), Option.some("a"))
      assert.isTrue(Option.isNone(yield* log.read(1, second)))
      assert.deepStrictEqual(Option.map(yield* log.last(1), text), Option.some("b"))
    })
  )

  it.effect("hold appends in flight, decided when they are released, or written already", () =>
    Effect.gen(function* () {
      const { service: log, faults } = MemoryEventLog.make()
      const outcomes: Array<AppendOutcome> = []
      const send = (shard: number, body: string): void =>
        log.append({
          shard,
          expectedLast: 0,
          seal: () => Buffer.from(body),
          reserved: false,
          settle: (outcome) => outcomes.push(outcome)
        })
      faults.hold({ shard: 1 })
      send(1, "late")
      yield* commit(log, 2, 0, "not held")
      assert.deepStrictEqual([faults.held(), faults.records(1).length, outcomes.length], [1, 0, 0])
      faults.hold({ written: true })
      send(3, "written")
      send(1, "overtakes")
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual([faults.held(), faults.records(3).length, faults.records(1).length], [3, 1, 1])
      faults.release()
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["WrongSequence", "Committed", "Committed"]
      )
      yield* commit(log, 4, 0, "no longer held")
    })
  )

  it.effect("cut it off, damage a record, lose the newest ones, and change its bounds", () =>
    Effect.gen(function* () {
      const { service: log, faults } = MemoryEventLog.make()
      const first = yield* commit(log, 1, 0, "a")
      const second = yield* commit(log, 1, first, "b")
      faults.setUnavailable(true)
      assert.strictEqual((yield* append(log, 1, second, "c"))._tag, "Ambiguous")
      assert.strictEqual((yield* Effect.flip(log.last(1)))._tag, "LogUnavailable")
      faults.setUnavailable(false)
      faults.damage(1, second)
      assert.deepInclude(yield* Effect.flip(log.last(1)), { _tag: "LogDamaged", shard: 1, position: second })
      faults.lose(1, first)
      assert.deepStrictEqual(Option.map(yield* log.last(1), text), Option.some("a"))
      faults.setBounds({ softBytes: 1, hardBytes: 10 })
      assert.strictEqual((yield* append(log, 1, first, "c"))._tag, "Refused")
      assert.isAbove(yield* commit(log, 1, first, "epoch", true), second)
    })
  )
})
