import { assert, describe, it } from "@effect/vitest"
import { EventLog, LogUnavailable } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CommitSignal } from "../../src/fanout/CommitSignal.ts"
import { ConsumerLags } from "../../src/fanout/ConsumerLags.ts"
import {
  consumerAgainMs,
  consumerBytesMax,
  consumerGatherMs,
  consumerPollMs,
  runConsumer
} from "../../src/fanout/LogConsumer.ts"
import { encodeRecord, noHash, noPlace } from "../../src/log/Record.ts"
import { WorkedShards, worksWhere } from "../../src/fanout/WorkedShards.ts"
import { entry } from "../log/Entries.ts"

const shard = 1

/** Fills the shard with records of about a hundredth of a step, and answers the last position. */
const fill = Effect.fnUntraced(function* (records: number, from = 1, after = 0, of = shard) {
  const log = yield* EventLog
  const body = "x".repeat(consumerBytesMax / 100)
  let last = after
  for (let number = from; number < from + records; number++) {
    const { bytes } = encodeRecord(
      { kind: "events", shard: of, epoch: 1, number, previous: noHash, checkpoint: noPlace, full: noPlace },
      [entry(number, { body })]
    )
    const expectedLast = last
    last = yield* Effect.callback<number>((resume) =>
      log.append({
        shard: of,
        expectedLast,
        reserved: false,
        seal: () => bytes,
        settle: (outcome) => resume(Effect.succeed(outcome._tag === "Committed" ? outcome.position : 0))
      })
    )
  }
  return last
})

/** What the consumer did, in order, until it came to the position: seqs of each step, "sync", "moved". */
const consume = Effect.fnUntraced(function* (until: number, fails: (step: number) => boolean = () => false) {
  const did: Array<string> = []
  const reached = yield* Deferred.make<void>()
  let steps = 0
  let at = 0
  yield* runConsumer<string>({
    name: "test",
    shardCount: 1,
    apply: (_shard, entries) =>
      Effect.suspend(() => {
        const failing = fails(++steps)
        did.push(`${failing ? "failed " : ""}${entries[0]?.entry.seq}-${entries.at(-1)?.entry.seq}`)
        return failing ? Effect.fail("not now") : Effect.void
      }),
    sync: Effect.sync(() => void did.push("sync")),
    moved: (_shard, position) => {
      if (position !== at) did.push("moved")
      at = position
      if (position >= until) Deferred.doneUnsafe(reached, Effect.void)
    }
  })
  yield* Deferred.await(reached)
  return did
})

const layers = Layer.mergeAll(MemoryEventLog.layer(), CommitSignal.layer)

describe("a consumer of the log", () => {
  it.live("takes all that a hot shard has in one round: steps of bounded bytes, one sync, one move", () =>
    Effect.gen(function* () {
      const last = yield* fill(1_000)
      const did = yield* consume(last)
      assert.deepStrictEqual(did.slice(-2), ["sync", "moved"])
      const steps = did.slice(0, -2)
      assert.isAtLeast(steps.length, 10)
      assert.match(steps[0] ?? "", /^1-/)
      assert.match(steps.at(-1) ?? "", /-1000$/)
      const ends = steps.map((step) => step.split("-").map(Number))
      for (const [at, [first]] of ends.entries()) assert.strictEqual(first, (ends[at - 1]?.[1] ?? 0) + 1)
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("takes all that the log is known to have, however little it gives at a time", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const last = yield* fill(20)
      const sparing = EventLog.of({
        ...log,
        readAfter: (of, after, bytesMax) =>
          Effect.map(log.readAfter(of, after, bytesMax), (found) => found.slice(0, 3)),
        known: () => last
      })
      const did = yield* consume(last).pipe(Effect.provideService(EventLog, sparing))
      assert.deepStrictEqual(did, ["1-3", "4-6", "7-9", "10-12", "13-15", "16-18", "19-20", "sync", "moved"])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("moves to where it came when a later step of the round fails, and does that one again", () =>
    Effect.gen(function* () {
      const last = yield* fill(300)
      const did = yield* consume(last, (step) => step === 2)
      const first = did[0] ?? ""
      const failed = (did[1] ?? "").replace("failed ", "")
      assert.deepStrictEqual(did.slice(0, 5), [first, `failed ${failed}`, "sync", "moved", failed])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("says again how far it is where it looks and finds nothing: who was told may have lost the shard since", () =>
    Effect.gen(function* () {
      const signal = yield* CommitSignal
      const last = yield* fill(3)
      const told: Array<number> = []
      yield* runConsumer<never>({
        name: "test",
        shardCount: 1,
        apply: () => Effect.void,
        moved: (_shard, position) => void told.push(position)
      })
      const toldTimes = (times: number) =>
        Effect.suspend(() => {
          signal.committed(shard)
          return Effect.as(Effect.sleep(5), told.filter((position) => position === last).length >= times)
        }).pipe(Effect.repeat({ until: (there) => there }), Effect.timeout("10 seconds"))
      yield* toldTimes(1)
      yield* toldTimes(2)
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("goes on when the log could not even say where it stood at first", () =>
    Effect.gen(function* () {
      const last = yield* fill(3)
      const log = yield* EventLog
      let failures = 1
      const awayAtFirst = EventLog.of({
        ...log,
        consumerPosition: (...asked) =>
          Effect.suspend(() =>
            failures-- > 0 ? Effect.fail(new LogUnavailable({ cause: "away" })) : log.consumerPosition(...asked)
          )
      })
      const did = yield* consume(last).pipe(Effect.provideService(EventLog, awayAtFirst))
      assert.deepStrictEqual(did, ["1-3", "sync", "moved"])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )
})

describe("a consumer behind a store that syncs by itself", () => {
  it.live("WRITE-BEHIND-SAFE: writes all since its durable position again when the store may have lost it", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const last = yield* fill(3)
      const did: Array<string> = []
      const lost = yield* Deferred.make<void>()
      let syncs = 0
      yield* runConsumer<string>({
        name: "test",
        shardCount: 1,
        apply: (_shard, entries) =>
          Effect.sync(() => void did.push(`${entries[0]?.entry.seq}-${entries.at(-1)?.entry.seq}`)),
        // The first one is good; the second one finds that a node started anew.
        sync: Effect.suspend(() => {
          did.push("sync")
          return ++syncs === 2 ? Effect.andThen(Deferred.await(lost), Effect.fail("a node started anew")) : Effect.void
        }),
        syncPeriodic: true
      })
      const positionIs = (position: number) =>
        Effect.repeat(log.consumerPosition("test", shard), { until: (at) => at === position })
      yield* positionIs(last)
      const end = yield* fill(2, 4, last)
      const signal = yield* CommitSignal
      signal.committed(shard)
      yield* Effect.repeat(Effect.yieldNow, { until: () => syncs === 2 })
      assert.deepStrictEqual(did, ["1-3", "sync", "4-5", "sync"])
      assert.strictEqual(yield* log.consumerPosition("test", shard), last)
      yield* Deferred.succeed(lost, undefined)
      yield* positionIs(end)
      assert.deepStrictEqual(did, ["1-3", "sync", "4-5", "sync", "4-5", "sync"])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )
})

describe("a consumer whose step failed", () => {
  it.effect("tries it again by itself: nothing has to be committed, and no poll to come", () =>
    Effect.gen(function* () {
      yield* fill(3)
      let tries = 0
      let taken = false
      yield* runConsumer<string>({
        name: "test",
        shardCount: 1,
        apply: () =>
          Effect.suspend(() => {
            taken = ++tries === 3
            return taken ? Effect.void : Effect.fail("not now")
          })
      })
      let clockMs = 0
      // How long a shard is left alone is of the machine's clock, the pause between two rounds of this one.
      for (; clockMs < consumerPollMs / 2; clockMs += consumerGatherMs) {
        if (taken) break
        yield* TestClock.adjust(consumerGatherMs)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))
      }
      assert.isTrue(taken, `${tries} tries in ${clockMs} ms`)
    }).pipe(Effect.scoped, Effect.provide(layers))
  )
})

describe("a consumer that can't move its positions", () => {
  it.effect("writes again soon, without a commit or a look at all shards: owners wait for what it has written", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const lags = yield* ConsumerLags
      const last = yield* fill(3)
      const lagging: Array<boolean> = []
      let syncs = 0
      const applied: Array<string> = []
      yield* runConsumer<string>({
        name: "test",
        shardCount: 1,
        apply: (_shard, entries) =>
          Effect.sync(() => void applied.push(`${entries[0]?.entry.seq}-${entries.at(-1)?.entry.seq}`)),
        sync: Effect.suspend(() => {
          lagging.push(lags.now().some(([, lagMs]) => lagMs > 0))
          return ++syncs > 3 ? Effect.void : Effect.fail("a node started anew")
        })
      })
      for (let clockMs = 0; clockMs < consumerPollMs / 2; clockMs += consumerGatherMs) {
        yield* TestClock.adjust(consumerGatherMs)
      }
      assert.deepStrictEqual(
        [applied, yield* log.consumerPosition("test", shard)],
        [["1-3", "1-3", "1-3", "1-3"], last]
      )
      assert.deepStrictEqual(lagging, [true, true, true, true])
      assert.isTrue(lags.now().every(([, lagMs]) => lagMs === 0))
    }).pipe(Effect.scoped, Effect.provide(layers))
  )
})

describe("an idle consumer", () => {
  it.effect("sleeps while nothing is committed, but for a look now and then, and wakes at once", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const signal = yield* CommitSignal
      let reads = 0
      const counting = EventLog.of({
        ...log,
        readAfter: (...asked) =>
          Effect.suspend(() => {
            reads++
            return log.readAfter(...asked)
          })
      })
      const applied: Array<number> = []
      yield* runConsumer({
        name: "test",
        shardCount: 2,
        apply: (_shard, entries) => Effect.sync(() => void applied.push(...entries.map((one) => one.entry.seq)))
      }).pipe(Effect.provideService(EventLog, counting))
      yield* TestClock.adjust(consumerPollMs / 2)
      const first = reads
      yield* TestClock.adjust(10 * consumerPollMs)
      // One look at each of both shards.
      assert.strictEqual(reads - first, 20)
      const last = yield* fill(1)
      assert.strictEqual(reads - first, 20)
      // Of shards that others write this one takes nothing.
      signal.committedElsewhere(shard)
      yield* TestClock.adjust(consumerGatherMs)
      assert.strictEqual(reads - first, 20)
      signal.committed(shard)
      yield* TestClock.adjust(consumerGatherMs)
      assert.deepStrictEqual([applied, yield* log.consumerPosition("test", shard)], [[1], last])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("says for how long it has had something to do, and 0 once that is done", () =>
    Effect.gen(function* () {
      const signal = yield* CommitSignal
      const lags = yield* ConsumerLags
      const gate = yield* Deferred.make<void>()
      let fails = true
      const lagMs = () => lags.now().find(([consumer]) => consumer === "lagging")?.[1]
      assert.isUndefined(lagMs())
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* runConsumer<string>({
            name: "lagging",
            shardCount: 1,
            apply: () =>
              Effect.suspend(() => {
                if (!fails) return Effect.void
                Deferred.doneUnsafe(gate, Effect.void)
                return Effect.fail("not now")
              })
          })
          assert.strictEqual(lagMs(), 0)
          yield* fill(3)
          signal.committed(shard)
          yield* Deferred.await(gate)
          const before = lagMs() ?? 0
          assert.isAbove(before, 0)
          yield* Effect.sleep(20)
          assert.isAbove(lagMs() ?? 0, before)
          fails = false
          while (lagMs() !== 0) yield* Effect.sleep(5)
        })
      )
      assert.isUndefined(lagMs())
    }).pipe(Effect.provide(layers))
  )
})

describe("shards that are worked on", () => {
  it.live("are a few a round while events are many, so that no round is long", () =>
    Effect.gen(function* () {
      const shardCount = 8
      const rounds: Array<number> = []
      let taken = 0
      const begun = yield* Deferred.make<void>()
      const signal = yield* CommitSignal
      yield* runConsumer<never>({
        name: "spread",
        shardCount,
        gather: { fewMs: 1, busyMs: 400, busyPerSecond: 0, sliceMs: 5 },
        apply: () => Effect.sync(() => void (Deferred.doneUnsafe(begun, Effect.void) || taken++)),
        sync: Effect.sync(() => {
          if (taken > 0) rounds.push(taken)
          taken = 0
        })
      })
      // The first one is of all: nothing is known of how many there are.
      yield* fill(1)
      signal.committed(shard)
      yield* Deferred.await(begun)
      yield* fill(1, 2, 1)
      for (let of = 2; of <= shardCount; of++) yield* fill(1, 1, 0, of)
      for (let of = 1; of <= shardCount; of++) signal.committed(of)
      const done = () => rounds.reduce((sum, count) => sum + count, 0)
      while (done() < shardCount) yield* Effect.sleep(1)
      assert.isAtLeast(rounds.length, shardCount / 2)
    }).pipe(Effect.provide(layers))
  )

  it.live("leaves a shard to who has it, and goes on where he came to when it is its own again", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const signal = yield* CommitSignal
      const last = yield* fill(4)
      const did: Array<string> = []
      let mine = false
      yield* runConsumer<never>({
        name: "test",
        shardCount: 1,
        begin: () => Effect.sync(() => void did.push("begin")),
        apply: (_shard, entries) =>
          Effect.sync(() => void did.push(`${entries[0]?.entry.seq}-${entries.at(-1)?.entry.seq}`))
      }).pipe(
        Effect.provideService(
          WorkedShards,
          worksWhere(() => mine)
        )
      )
      const until = (what: () => boolean) =>
        Effect.suspend(() => {
          signal.committed(shard)
          return Effect.as(Effect.sleep(5), what())
        }).pipe(Effect.repeat({ until: (there) => there }), Effect.timeout("10 seconds"))
      let looks = 0
      yield* until(() => ++looks > 20)
      assert.deepStrictEqual(did, [])
      const half = (yield* log.readAfter(shard, 0, 1_000_000))[1]?.position ?? 0
      yield* log.setConsumerPosition("test", shard, half)
      mine = true
      yield* until(() => did.length > 1)
      assert.deepStrictEqual(did, ["begin", "3-4"])
      mine = false
      looks = 0
      yield* until(() => ++looks > 100)
      yield* log.setConsumerPosition("test", shard, last)
      mine = true
      yield* until(() => did.length > 2)
      looks = 0
      yield* until(() => ++looks > 20)
      assert.deepStrictEqual(did, ["begin", "3-4", "begin"])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("looks again soon where another process writes: a replica may not have yet what was committed", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const signal = yield* CommitSignal
      yield* fill(3)
      let behind = true
      let asked = 0
      const replica = EventLog.of({
        ...log,
        readAfter: (of, after, bytesMax) =>
          Effect.suspend(() => {
            asked++
            return behind ? Effect.succeed([]) : log.readAfter(of, after, bytesMax)
          })
      })
      const took: Array<number> = []
      yield* runConsumer<never>({
        name: "test",
        shardCount: 1,
        apply: (_shard, entries) => Effect.sync(() => void took.push(entries.length))
      }).pipe(
        Effect.provideService(WorkedShards, { ...worksWhere(() => true), remote: true }),
        Effect.provideService(EventLog, replica)
      )
      yield* Effect.sleep(200)
      signal.committedElsewhere(shard)
      yield* Effect.sleep(200)
      assert.isAbove(asked, 1)
      behind = false
      yield* Effect.suspend(() => Effect.as(Effect.sleep(10), took.length > 0)).pipe(
        Effect.repeat({ until: (there) => there }),
        Effect.timeout(consumerAgainMs * 3)
      )
      assert.deepStrictEqual(took, [3])
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("begins with a shard that has come to it before anything is committed there", () =>
    Effect.gen(function* () {
      yield* fill(2)
      let mine = false
      let tell: (of: number) => void = () => {}
      const took: Array<number> = []
      yield* runConsumer<never>({
        name: "test",
        shardCount: 1,
        apply: (_shard, entries) => Effect.sync(() => void took.push(entries.length))
      }).pipe(
        Effect.provideService(WorkedShards, {
          works: () => mine,
          onBegun: (begun) => {
            tell = begun
            return () => {}
          },
          remote: true
        })
      )
      yield* Effect.sleep(200)
      assert.deepStrictEqual(took, [])
      mine = true
      tell(shard)
      yield* Effect.suspend(() => Effect.as(Effect.sleep(10), took.length > 0)).pipe(
        Effect.repeat({ until: (there) => there }),
        Effect.timeout("3 seconds")
      )
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live(
    "goes on while a store syncs by itself, and moves its durable position when that is over (WRITE-BEHIND-SAFE)",
    () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const signal = yield* CommitSignal
        const synced = yield* Deferred.make<void>()
        const did: Array<string> = []
        let at = 0
        yield* runConsumer<never>({
          name: "test",
          shardCount: 1,
          apply: (_shard, entries) =>
            Effect.sync(() => void did.push(`${entries[0]?.entry.seq}-${entries.at(-1)?.entry.seq}`)),
          sync: Deferred.await(synced),
          syncPeriodic: true,
          moved: (_shard, position) => {
            if (position !== at) did.push("moved")
            at = position
          }
        })
        const seen = (count: number) =>
          Effect.suspend(() => {
            signal.committed(shard)
            return Effect.as(Effect.sleep(5), did.length >= count)
          }).pipe(Effect.repeat({ until: (there) => there }), Effect.timeout("10 seconds"))
        const first = yield* fill(3)
        yield* seen(2)
        const last = yield* fill(2, 4, first)
        yield* seen(4)
        assert.deepStrictEqual(did, ["1-3", "moved", "4-5", "moved"])
        assert.strictEqual(yield* log.consumerPosition("test", shard), 0)
        yield* Deferred.succeed(synced, undefined)
        yield* log
          .consumerPosition("test", shard)
          .pipe(
            Effect.delay(5),
            Effect.repeat({ until: (position) => position === last }),
            Effect.timeout("10 seconds")
          )
      }).pipe(Effect.scoped, Effect.provide(layers))
  )
})
