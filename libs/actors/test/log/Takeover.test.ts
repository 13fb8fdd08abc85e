import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import type { Entry } from "../../src/log/Entry.ts"
import { decodeRecord, encodeRecord, noHash, type ShardRecord } from "../../src/log/Record.ts"
import { replayTriesMax } from "../../src/log/Replay.ts"
import { ShardLog } from "../../src/log/ShardLog.ts"
import { behindMax } from "../../src/log/ShardLogState.ts"
import { type OpenedShard, openShard, type OpenShard, openTriesMax } from "../../src/log/Takeover.ts"
import { entry } from "./Entries.ts"
import { FakeLog } from "./FakeLog.ts"

const shard = 9

/** Opens with time running, as far as it is waited for. */
const open = (fake: FakeLog, over: Partial<OpenShard> = {}) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(openShard({ log: fake.service, shard, epochAtLeast: 1, ...over }))
    while (fiber.pollUnsafe() === undefined) {
      // The log answers in a microtask, the rest is time.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.join(fiber)
  })

const writer = (fake: FakeLog, opened: OpenedShard, outcomes: Array<string> = []) =>
  new ShardLog<{ readonly entry: Entry }>({
    ...opened,
    log: fake.service,
    commitWindowMs: 0,
    onCommitted: (entries) => outcomes.push(...entries.map(({ entry }) => `committed ${entry.seq}`)),
    onFailed: (entries, reason) => outcomes.push(...entries.map(({ entry }) => `${reason} ${entry.seq}`)),
    onUnknown: () => {},
    onOut: () => outcomes.push("out"),
    onQuarantined: (what) => outcomes.push(what)
  })

/** Each its own record. */
const write = (log: ReturnType<typeof writer>, ...seqs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    for (const seq of seqs) {
      assert.isTrue(log.append({ entry: entry(seq) }))
      yield* log.flush()
    }
  })

const checkpoint = (log: ReturnType<typeof writer>, kind: "full" | "incremental", body: number) =>
  Effect.gen(function* () {
    log.appendCheckpoint(() => Uint8Array.of(body), kind)
    yield* log.flush()
  })

const records = (fake: FakeLog): ReadonlyArray<ShardRecord> =>
  fake.shard(shard).map(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)))
const seqs = (opened: OpenedShard) => opened.entries.map(({ entry }) => entry.seq)

describe("openShard", () => {
  it.effect("opens an empty shard with its first record", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const opened = yield* open(fake, { epochAtLeast: 6, owner: "node-1" })
      const [first] = records(fake)
      assert.deepInclude(opened, {
        shard,
        epoch: 6,
        position: 7,
        number: 1,
        replayedFrom: 0,
        entries: [],
        checkpoint: undefined
      })
      assert.deepInclude(first, { kind: "epoch", epoch: 6, number: 1, previous: noHash, hash: opened.hash })
      assert.isTrue(fake.attempts[0]?.reserved, "†28: in the reserved room")
      assert.match(Buffer.from(first?.body ?? []).toString("latin1"), /node-1$/)
    })
  )

  it.effect("takes an epoch above the last record's and replays what is there, across owners", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1, 2)
      const second = yield* open(fake)
      assert.strictEqual(second.epoch, 2)
      yield* write(writer(fake, second), 3)
      const third = yield* open(fake)
      assert.strictEqual(third.epoch, 3)
      assert.deepStrictEqual(third.entries, [
        { entry: entry(1), position: 10 },
        { entry: entry(2), position: 13 },
        { entry: entry(3), position: 19 }
      ])
      assert.deepStrictEqual(
        records(fake).map(({ number }) => number),
        [1, 2, 3, 4, 5, 6]
      )
    })
  )

  it.effect("gives entries to a callback instead, and needs no memory for them", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1, 2)
      const seen: Array<number> = []
      const opened = yield* open(fake, { onEntry: (entry) => seen.push(entry.seq) })
      assert.deepStrictEqual(seen, [1, 2])
      assert.deepStrictEqual(opened.entries, [])
    })
  )

  it.effect("replays from the last full checkpoint, with the last incremental one after it, also after a purge", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const log = writer(fake, yield* open(fake))
      yield* write(log, 1)
      yield* checkpoint(log, "full", 1)
      yield* write(log, 2)
      yield* checkpoint(log, "full", 2)
      yield* write(log, 3)
      yield* checkpoint(log, "incremental", 3)
      yield* checkpoint(log, "incremental", 4)
      yield* write(log, 4)
      yield* fake.service.purge(shard, log.replayFrom - 1)
      const opened = yield* open(fake)
      assert.deepStrictEqual(opened.checkpoint, Buffer.of(2))
      assert.deepStrictEqual(opened.incremental, Buffer.of(4))
      assert.deepStrictEqual(seqs(opened), [3, 4])
      assert.strictEqual(opened.replayedFrom, log.replayFrom)
      // The next one finds the checkpoint through the epoch record.
      assert.deepStrictEqual(seqs(yield* open(fake)), [3, 4])
    })
  )

  it.effect("a checkpoint that is the very last record is where the next replay begins", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const log = writer(fake, yield* open(fake))
      yield* write(log, 1)
      yield* checkpoint(log, "full", 1)
      const opened = yield* open(fake)
      assert.deepStrictEqual(opened.checkpoint, Buffer.of(1))
      assert.deepStrictEqual(seqs(opened), [])
    })
  )

  it.effect("†21 appends the very same epoch record again after an ambiguous answer, and finds it at its place", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      fake.fates = ["lost_attempt", "lost_answer"]
      const opened = yield* open(fake)
      assert.strictEqual(opened.epoch, 1)
      assert.strictEqual(records(fake).length, 1)
      assert.deepStrictEqual(fake.attempts[1]?.bytes, fake.attempts[0]?.bytes)
    })
  )

  it.effect("†23 follows the old owner's record in flight if that comes first, and replays it", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const outcomes: Array<string> = []
      const old = writer(fake, yield* open(fake), outcomes)
      fake.fates = ["hold", "hold"]
      old.append({ entry: entry(1) })
      const opening = yield* Effect.forkChild(open(fake))
      yield* Effect.promise(() => fake.until(() => fake.held.length === 2))
      fake.release()
      const opened = yield* Fiber.join(opening)
      assert.deepStrictEqual(outcomes, ["committed 1"])
      assert.deepStrictEqual(seqs(opened), [1])
    })
  )

  it.effect("†23 fences the old owner's record in flight if that comes later: SINGLE-WRITER", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const outcomes: Array<string> = []
      const old = writer(fake, yield* open(fake), outcomes)
      fake.fates = ["hold"]
      old.append({ entry: entry(1) })
      yield* Effect.promise(() => fake.until(() => fake.held.length === 1))
      const opened = yield* open(fake)
      fake.release()
      yield* old.flush()
      assert.deepStrictEqual(outcomes, ["out", "out 1"])
      assert.deepStrictEqual(seqs(opened), [])
      assert.strictEqual(records(fake).length, 2)
    })
  )

  it.effect("two that open at once on the same record get one owner, also with the same epoch", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      fake.fates = ["hold", "hold"]
      const first = yield* Effect.forkChild(Effect.result(open(fake)))
      const second = yield* Effect.forkChild(Effect.result(open(fake)))
      yield* Effect.promise(() => fake.until(() => fake.held.length === 2))
      fake.release()
      const results = [yield* Fiber.join(first), yield* Fiber.join(second)]
      assert.strictEqual(results.filter(Result.isSuccess).length, 1)
      const taken = results.find(Result.isFailure)
      assert.deepInclude(taken?.failure, { _tag: "ShardTaken", epoch: 1 })
      assert.strictEqual((yield* open(fake)).epoch, 2)
    })
  )

  it.effect("†22 reads again where the last record it saw was a deposed leader's", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1, 2)
      fake.staleLasts = [2, 1]
      fake.emptyReads = 1
      fake.emptyReadAfters = 3
      const opened = yield* open(fake)
      assert.deepStrictEqual(seqs(opened), [1, 2])
      assert.strictEqual(opened.number, 4)
    })
  )

  it.effect("†23 serves a handed over state without a replay, behind exactly its record", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const old = writer(fake, yield* open(fake))
      yield* write(old, 1)
      yield* checkpoint(old, "full", 1)
      yield* write(old, 2)
      old.stepDown()
      const opened = yield* open(fake, { handover: old.handover })
      assert.deepInclude(opened, {
        epoch: 2,
        number: 5,
        replayedFrom: old.replayFrom,
        entries: [],
        checkpoint: undefined
      })
      assert.strictEqual(records(fake).at(-1)?.previous, old.handover.hash)
      yield* write(writer(fake, opened), 3)
      assert.deepStrictEqual(seqs(yield* open(fake)), [2, 3])
    })
  )

  it.effect("†23 throws a handed over state away that the log has gone past", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const old = writer(fake, yield* open(fake))
      yield* write(old, 1)
      const { handover } = old
      yield* write(old, 2)
      const before = records(fake).length
      const failure = yield* Effect.flip(open(fake, { handover, epochAtLeast: 5 }))
      assert.strictEqual(failure._tag, "HandoverStale")
      assert.strictEqual(records(fake).length, before)
      assert.deepStrictEqual(seqs(yield* open(fake, { epochAtLeast: 5 })), [1, 2])
    })
  )

  it.effect("†24 quarantines a log that ends before what is known, and does not write to it", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const opened = yield* open(fake)
      yield* write(writer(fake, opened), 1)
      const known = fake.shard(shard).at(-1)?.position ?? 0
      fake.shard(shard).pop()
      const attempts = fake.attempts.length
      const failure = yield* Effect.flip(open(fake, { knownAtLeast: known }))
      assert.deepInclude(failure, { _tag: "ShardQuarantined", what: `the log ends at 7, but ${known} is known` })
      assert.strictEqual(fake.attempts.length, attempts)
    })
  )

  it.effect("†24 does not quarantine for one stale answer", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1)
      const knownAtLeast = fake.shard(shard).at(-1)?.position ?? 0
      fake.staleLasts = Array.from({ length: behindMax - 1 }, () => 1)
      assert.deepStrictEqual(seqs(yield* open(fake, { knownAtLeast })), [1])
    })
  )

  const broken = (name: string, what: RegExp, breakIt: (fake: FakeLog) => void) =>
    it.effect(`†24 quarantines ${name}`, () =>
      Effect.gen(function* () {
        const fake = new FakeLog()
        const log = writer(fake, yield* open(fake))
        yield* write(log, 1)
        yield* checkpoint(log, "full", 1)
        yield* write(log, 2, 3, 4)
        breakIt(fake)
        const failure = yield* Effect.flip(open(fake))
        assert.strictEqual(failure._tag, "ShardQuarantined")
        assert.match("what" in failure ? failure.what : "", what)
      })
    )
  const without = (index: number) => (fake: FakeLog) => {
    fake.shard(shard).splice(index, 1)
  }
  const damage = (index: number) => (fake: FakeLog) => {
    const bytes = fake.shard(shard).at(index)?.bytes
    if (bytes !== undefined) bytes[90] = (bytes[90] ?? 0) ^ 1
  }
  broken("a hole between records", /at 22: number 6 comes after 4/, without(4))
  broken("a missing checkpoint", /the full checkpoint 3 at 13 is missing/, without(2))
  broken("a damaged record", /at 19: the hash/, damage(4))
  broken("a damaged last record", /at 22: the hash/, damage(-1))
  broken("a record of another history in the middle", /at 19: its predecessor is another record/, (fake) => {
    const record = records(fake)[4]
    if (record === undefined) return
    const { bytes } = encodeRecord({ ...record, previous: "another history." }, record.entries)
    fake.shard(shard)[4] = { position: 19, bytes }
  })

  it.effect("†24 quarantines a shard whose first record is gone, where no checkpoint says what was before", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1, 2)
      fake.shard(shard).shift()
      const failure = yield* Effect.flip(open(fake))
      assert.deepInclude(failure, { _tag: "ShardQuarantined", what: "at 10: the shard's first record is missing" })
    })
  )

  it.effect("†28 says so when the log is full up to its hard bound", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      fake.fates = [{ refuse: "full" }]
      assert.strictEqual((yield* Effect.flip(open(fake)))._tag, "ShardLogFull")
      assert.strictEqual((yield* open(fake)).number, 1)
    })
  )

  it.effect("gives up, for now, on a log that never answers", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      fake.fates = Array.from({ length: openTriesMax + 1 }, () => "lost_attempt")
      assert.strictEqual((yield* Effect.flip(open(fake)))._tag, "LogUnavailable")
      fake.fates = []
      fake.emptyReadAfters = replayTriesMax + 1
      assert.strictEqual((yield* Effect.flip(open(fake)))._tag, "LogUnavailable")
      // What those attempts left behind does no harm.
      fake.emptyReadAfters = 0
      assert.deepStrictEqual(seqs(yield* open(fake)), [])
    })
  )

  it.effect("†24 is overtaken, and raises no alarm, where a later owner had the log cut while it was replayed", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      yield* write(writer(fake, yield* open(fake)), 1)
      let replays = 0
      const late = {
        ...fake.service,
        readAfter: (...asked: Parameters<typeof fake.service.readAfter>) =>
          Effect.gen(function* () {
            if (++replays > 1) return yield* fake.service.readAfter(...asked)
            const later = writer(fake, yield* Effect.orDie(open(fake)))
            yield* write(later, 2)
            yield* checkpoint(later, "full", 2)
            yield* fake.service.purge(shard, later.replayFrom - 1)
            return yield* fake.service.readAfter(...asked)
          })
      }
      const failure = yield* Effect.flip(open(fake, { log: late }))
      assert.strictEqual(failure._tag, "ShardTaken")
      // What is missing of nobody's doing is said as before.
      const damaged = new FakeLog()
      yield* write(writer(damaged, yield* open(damaged)), 1, 2)
      const [first, , third] = damaged.shard(shard)
      damaged.records.set(
        shard,
        [first, third].flatMap((record) => record ?? [])
      )
      assert.strictEqual((yield* Effect.flip(open(damaged)))._tag, "ShardQuarantined")
    })
  )

  it.effect("†27 still fences after a purge up to the end, since the last record stays", () =>
    Effect.gen(function* () {
      const fake = new FakeLog()
      const outcomes: Array<string> = []
      const old = writer(fake, yield* open(fake), outcomes)
      yield* write(old, 1)
      yield* checkpoint(old, "full", 1)
      fake.fates = ["hold"]
      old.append({ entry: entry(2) })
      yield* Effect.promise(() => fake.until(() => fake.held.length === 1))
      yield* fake.service.purge(shard, Number.MAX_SAFE_INTEGER)
      yield* open(fake)
      yield* fake.service.purge(shard, Number.MAX_SAFE_INTEGER)
      fake.release()
      yield* old.flush()
      assert.deepStrictEqual(outcomes, ["committed 1", "out", "out 2"])
    })
  )
})
