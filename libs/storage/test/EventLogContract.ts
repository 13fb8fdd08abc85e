/**
 * What every backend of the log promises to its callers, run against each of them. A backend gives a function that makes
 * a layer on storage of its own; a layer that is built twice opens the same storage again, where there is any.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as fc from "fast-check"
import { type AppendOutcome, EventLog, type LogPosition, type LogRecord } from "../src/EventLog.ts"

export interface LogBounds {
  readonly softBytes: number
  readonly hardBytes: number
}

export type MakeLogLayer = (bounds: LogBounds) => Layer.Layer<EventLog, unknown>

const roomy: LogBounds = { softBytes: 8_000_000, hardBytes: 9_000_000 }

/** Appends and waits for the outcome. */
export const append = (
  log: EventLog["Service"],
  shard: number,
  expectedLast: LogPosition,
  bytes: string | Uint8Array,
  reserved = false,
  content?: unknown
): Effect.Effect<AppendOutcome> =>
  Effect.callback((resume) =>
    log.append({
      shard,
      expectedLast,
      seal: () => (typeof bytes === "string" ? Buffer.from(bytes) : bytes),
      ...(content === undefined ? {} : { content: () => content }),
      reserved,
      settle: (outcome) => resume(Effect.succeed(outcome))
    })
  )

/** Appends after whatever is last; fails the test unless it is committed. */
export const commit = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  shard: number,
  expectedLast: LogPosition,
  bytes: string | Uint8Array,
  reserved = false
) {
  const outcome = yield* append(log, shard, expectedLast, bytes, reserved)
  if (outcome._tag !== "Committed") return assert.fail(`not committed: ${JSON.stringify(outcome)}`)
  return outcome.position
})

export const text = (record: LogRecord): string => Buffer.from(record.bytes).toString()
const texts = (records: ReadonlyArray<LogRecord>): ReadonlyArray<string> => records.map(text)
const lastText = (last: Option.Option<LogRecord>): string | undefined => Option.getOrUndefined(Option.map(last, text))

/** Commits texts one after the other from an empty shard; their positions. */
const fill = Effect.fnUntraced(function* (log: EventLog["Service"], shard: number, bodies: ReadonlyArray<string>) {
  const positions: Array<number> = []
  for (const body of bodies) positions.push(yield* commit(log, shard, positions.at(-1) ?? 0, body))
  return positions
})

/** Runs a body on a log of its own. */
const withLog = <A, E>(
  makeLayer: MakeLogLayer,
  body: (log: EventLog["Service"]) => Effect.Effect<A, E>,
  bounds = roomy
) => onLayer(makeLayer(bounds), body)

const onLayer = <A, E>(
  layer: Layer.Layer<EventLog, unknown>,
  body: (log: EventLog["Service"]) => Effect.Effect<A, E>
) => Effect.flatMap(EventLog, body).pipe(Effect.provide(Layer.fresh(layer), { local: true }))

export const eventLogContract = (
  name: string,
  makeLayer: MakeLogLayer,
  options: { readonly persistent: boolean; readonly keepsOwn: boolean; readonly recordBytesMax: number }
): void => {
  describe(name, () => {
    describe("appending", () => appending(makeLayer, options.recordBytesMax))
    describe("reading", () => reading(makeLayer))
    describe("purging", () => purging(makeLayer))
    describe("bounds", () => bounds(makeLayer))
    describe("consumers", () => consumers(makeLayer))
    describe("what this process appended", () => (options.keepsOwn ? own(makeLayer) : ownNothing(makeLayer)))
    if (options.persistent) describe("opening again", () => reopening(makeLayer))
  })
}

const appending = (makeLayer: MakeLogLayer, recordBytesMax: number): void => {
  it.live("gives each record of a shard a larger position", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const mine = yield* fill(log, 3, ["a", "b"])
        yield* fill(log, 5, ["x"])
        const last = yield* commit(log, 3, mine[1] ?? 0, "c")
        assert.isTrue(0 < (mine[0] ?? 0) && (mine[0] ?? 0) < (mine[1] ?? 0) && (mine[1] ?? 0) < last)
        assert.deepStrictEqual(texts(yield* log.readAfter(3, 0, 1_000)), ["a", "b", "c"])
      })
    )
  )

  it.live("SINGLE-WRITER: refuses what does not follow the last record, names that one, and changes nothing", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* append(log, 1, 7, "into nothing"), { _tag: "WrongSequence", actual: 0 })
        const [first = 0, second = 0] = yield* fill(log, 1, ["a", "b"])
        for (const wrong of [0, first, second + 1]) {
          assert.deepStrictEqual(yield* append(log, 1, wrong, "z"), { _tag: "WrongSequence", actual: second })
        }
        assert.deepStrictEqual(texts(yield* log.readAfter(1, 0, 1_000)), ["a", "b"])
        yield* commit(log, 1, second, "c")
      })
    )
  )

  it.live("SINGLE-WRITER: of several appends after the same record exactly one gets in", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const outcomes = yield* Effect.forEach(["a", "b", "c"], (body) => append(log, 1, 0, body), {
          concurrency: "unbounded"
        })
        const tags = outcomes.map((outcome) => outcome._tag)
        assert.lengthOf(
          tags.filter((tag) => tag === "Committed"),
          1,
          tags.join()
        )
        assert.lengthOf(yield* log.readAfter(1, 0, 1_000), 1)
      })
    )
  )

  it.live("refuses a record that is too large for certain, and changes nothing", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const outcome = yield* append(log, 1, 0, new Uint8Array(recordBytesMax + 1))
        assert.deepStrictEqual(outcome, { _tag: "Refused", reason: "too_large" })
        assert.isTrue(Option.isNone(yield* log.last(1)))
      })
    )
  )

  it.live("seals once, not within append, so that what gathers in the same turn is in the record", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const gathered: Array<string> = []
        let sealed = 0
        let settledWithin = true
        const outcome = yield* Effect.callback<AppendOutcome>((resume) => {
          log.append({
            shard: 1,
            expectedLast: 0,
            seal: () => (sealed++, Buffer.from(gathered.join())),
            reserved: false,
            settle: (outcome) => resume(Effect.succeed(settledWithin ? { _tag: "Ambiguous", cause: "early" } : outcome))
          })
          gathered.push("one", "two")
          settledWithin = false
        })
        assert.strictEqual(outcome._tag, "Committed")
        assert.strictEqual(sealed, 1)
        assert.strictEqual(lastText(yield* log.last(1)), "one,two")
      })
    )
  )

  it.live("takes the next append from within settle, and never settles within append", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        let nested = 0
        let within = false
        yield* Effect.callback<void>((resume) => {
          const next = (expectedLast: number): void => {
            within = true
            log.append({
              shard: 1,
              expectedLast,
              seal: () => Buffer.from(`r${nested}`),
              reserved: false,
              settle: (outcome) => {
                if (within || outcome._tag !== "Committed")
                  return resume(Effect.die(new Error(JSON.stringify(outcome))))
                nested += 1
                if (nested === 20) resume(Effect.void)
                else next(outcome.position)
              }
            })
            within = false
          }
          next(0)
        })
        assert.lengthOf(yield* log.readAfter(1, 0, 10_000), 20)
      })
    )
  )

  it.live("keeps the bytes as they were sealed, whatever becomes of the caller's buffer", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const buffer = new Uint8Array(70_000).fill(1)
        yield* commit(log, 1, 0, buffer)
        buffer.fill(2)
        const last = yield* log.last(1)
        assert.isTrue(
          Option.isSome(last) && last.value.bytes.length === 70_000 && last.value.bytes.every((b) => b === 1)
        )
      })
    )
  )
}

const reading = (makeLayer: MakeLogLayer): void => {
  it.live("finds the last record and the one at a place, and nothing where there is none", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        assert.isTrue(Option.isNone(yield* log.last(1)))
        assert.isTrue(Option.isNone(yield* log.read(1, 1)))
        const [first = 0, second = 0] = yield* fill(log, 1, ["a", "b"])
        const last = yield* log.last(1)
        assert.isTrue(Option.isSome(last) && last.value.position === second && text(last.value) === "b")
        assert.strictEqual(lastText(yield* log.read(1, first)), "a")
        assert.isTrue(Option.isNone(yield* log.read(1, second + 1)))
        assert.isTrue(Option.isNone(yield* log.read(2, first)))
        assert.deepStrictEqual(yield* log.shards, [1])
      })
    )
  )

  it.live("reads on from a place, in order, bounded in bytes, but at least one", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const positions = yield* fill(log, 1, ["aaaa", "bbbb", "cccc", "dddd"])
        assert.deepStrictEqual(texts(yield* log.readAfter(1, 0, 8)), ["aaaa", "bbbb"])
        // That this was not all is known, however much of `bytesMax` it was.
        assert.strictEqual(log.known(1), positions.at(-1))
        assert.strictEqual(log.known(2), 0)
        assert.deepStrictEqual(texts(yield* log.readAfter(1, positions[1] ?? 0, 7)), ["cccc"])
        assert.deepStrictEqual(texts(yield* log.readAfter(1, positions[2] ?? 0, 1)), ["dddd"])
        assert.deepStrictEqual(yield* log.readAfter(1, positions[3] ?? 0, 100), [])
        assert.deepStrictEqual(
          (yield* log.readAfter(1, 0, 100)).map((record) => record.position),
          positions
        )
      })
    )
  )
}

/** Commits "1", "2" … with contents of that name. */
const fillOwn = Effect.fnUntraced(function* (log: EventLog["Service"], shard: number, count: number) {
  const positions: Array<number> = []
  for (let at = 1; at <= count; at++) {
    const outcome = yield* append(log, shard, positions.at(-1) ?? 0, `bytes of ${at}`, false, `content of ${at}`)
    if (outcome._tag !== "Committed") return assert.fail(`not committed: ${JSON.stringify(outcome)}`)
    positions.push(outcome.position)
  }
  return positions
})

const own = (makeLayer: MakeLogLayer): void => {
  it.live(
    "is given as what it was made of, at the places that the log has, until all consumers have done with it",
    () =>
      withLog(makeLayer, (log) =>
        Effect.gen(function* () {
          const positions = yield* fillOwn(log, 1, 4)
          const inLog = yield* log.readAfter(1, 0, 1_000)
          assert.deepStrictEqual(
            log.own(1, 0, 1_000),
            inLog.map(({ bytes, position }, at) => ({ position, size: bytes.length, content: `content of ${at + 1}` }))
          )
          const contents = (after: number, bytesMax: number) =>
            log.own(1, after, bytesMax)?.map(({ content }) => content)
          assert.deepStrictEqual(contents(positions[1] ?? 0, 1_000), ["content of 3", "content of 4"])
          assert.deepStrictEqual(contents(positions[1] ?? 0, 1), ["content of 3"])
          for (const consumer of ["fast", "slow"]) yield* log.consumerPosition(consumer, 1)
          yield* log.setConsumerPosition("slow", 1, positions[0] ?? 0)
          yield* log.setConsumerPosition("fast", 1, positions[3] ?? 0)
          assert.deepStrictEqual(contents(positions[0] ?? 0, 1_000), ["content of 2", "content of 3", "content of 4"])
          yield* log.setConsumerPosition("slow", 1, positions[2] ?? 0)
          assert.isUndefined(log.own(1, positions[0] ?? 0, 1_000))
          assert.lengthOf(yield* log.readAfter(1, positions[0] ?? 0, 1_000), 3)
          assert.deepStrictEqual(contents(positions[2] ?? 0, 1_000), ["content of 4"])
        })
      )
  )

  it.live("is not known of a shard up to a record that came without content", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const [first = 0, second = 0] = yield* fillOwn(log, 1, 2)
        const third = yield* commit(log, 1, second, "without")
        assert.isUndefined(log.own(1, first, 1_000))
        assert.deepStrictEqual(texts(yield* log.readAfter(1, first, 1_000)), ["bytes of 2", "without"])
        const fourth = yield* append(log, 1, third, "with", false, "fourth")
        assert.strictEqual(fourth._tag, "Committed")
        assert.isUndefined(log.own(1, second, 1_000))
        assert.deepStrictEqual(
          log.own(1, third, 1_000)?.map(({ content }) => content),
          ["fourth"]
        )
      })
    )
  )
}

const ownNothing = (makeLayer: MakeLogLayer): void => {
  it.live("is not kept: the log is read", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        yield* fillOwn(log, 1, 2)
        assert.isUndefined(log.own(1, 0, 1_000))
      })
    )
  )
}

const purging = (makeLayer: MakeLogLayer): void => {
  it.live("removes records up to and with the named one, and no other shard's", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const positions = yield* fill(log, 1, ["a", "b", "c"])
        yield* fill(log, 2, ["x", "y"])
        yield* log.purge(1, positions[1] ?? 0)
        assert.deepStrictEqual(texts(yield* log.readAfter(1, 0, 100)), ["c"])
        assert.isTrue(Option.isNone(yield* log.read(1, positions[0] ?? 0)))
        assert.deepStrictEqual(texts(yield* log.readAfter(2, 0, 100)), ["x", "y"])
        yield* log.purge(1, positions[0] ?? 0)
        assert.deepStrictEqual(texts(yield* log.readAfter(1, 0, 100)), ["c"])
      })
    )
  )

  it.live("†27 never removes a shard's last record, so that the fence stays", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const positions = yield* fill(log, 1, ["a", "b"])
        const last = positions[1] ?? 0
        yield* log.purge(1, last + 1_000)
        yield* log.purge(9, 1_000)
        assert.strictEqual(lastText(yield* log.last(1)), "b")
        assert.deepStrictEqual(yield* append(log, 1, 0, "old owner"), { _tag: "WrongSequence", actual: last })
        assert.isAbove(yield* commit(log, 1, last, "c"), last)
      })
    )
  )

  it.live("†27 takes no more than what shards spare, together or each by itself", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        const positions = yield* fill(log, 1, ["a", "b", "c"])
        yield* fill(log, 2, ["x", "y"])
        yield* log.spare(1, positions[1] ?? 0)
        assert.include(texts(yield* log.readAfter(1, 0, 100)), "c")
        assert.deepStrictEqual(texts(yield* log.readAfter(2, 0, 100)), ["x", "y"])
        // More than there is, and of a shard that has nothing.
        for (const shard of [1, 2, 9]) yield* log.spare(shard, 1_000_000)
        assert.strictEqual(lastText(yield* log.last(1)), "c")
        assert.strictEqual(lastText(yield* log.last(2)), "y")
        assert.isAbove(yield* commit(log, 1, positions[2] ?? 0, "d"), positions[2] ?? 0)
      })
    )
  )

  it.live("behaves like a list of records under any commands", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 40 }), (commands) =>
          Effect.runPromise(withLog(makeLayer, (log) => likeAList(log, commands)))
        ),
        { numRuns: 15 }
      )
    )
  )
}

type Command =
  | { readonly _tag: "append"; readonly shard: number; readonly size: number; readonly wrong: boolean }
  | { readonly _tag: "purge" | "spare"; readonly shard: number; readonly share: number }

const shard = fc.integer({ min: 0, max: 2 })
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("append" as const),
      shard,
      size: fc.integer({ min: 1, max: 9_000 }),
      wrong: fc.boolean()
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("purge" as const), shard, share: fc.nat({ max: 10 }) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("spare" as const), shard, share: fc.nat({ max: 10 }) }) }
)

const likeAList = Effect.fnUntraced(function* (log: EventLog["Service"], commands: ReadonlyArray<Command>) {
  const model = new Map<number, Array<{ position: number; size: number }>>([0, 1, 2].map((shard) => [shard, []]))
  /** Up to there records may be gone. */
  const spared = new Map<number, number>()
  for (const command of commands) {
    const records = model.get(command.shard) ?? []
    const last = records.at(-1)?.position ?? 0
    if (command._tag === "append") {
      const bytes = new Uint8Array(command.size).fill(command.size % 251)
      const outcome = yield* append(log, command.shard, command.wrong ? last + 1 : last, bytes)
      if (command.wrong) assert.deepStrictEqual(outcome, { _tag: "WrongSequence", actual: last })
      else if (outcome._tag === "Committed") records.push({ position: outcome.position, size: command.size })
      else assert.fail(JSON.stringify(outcome))
    } else if (command._tag === "spare") {
      const upTo = records[Math.floor((records.length * command.share) / 10)]?.position ?? last
      yield* log.spare(command.shard, upTo)
      spared.set(command.shard, Math.max(upTo, spared.get(command.shard) ?? 0))
    } else {
      const upTo = records[Math.floor((records.length * command.share) / 10)]?.position ?? last
      yield* log.purge(command.shard, upTo)
      model.set(
        command.shard,
        records.filter((record) => record.position > upTo || record.position === last)
      )
    }
  }
  for (const [shard, records] of model) {
    const found = yield* log.readAfter(shard, 0, 10_000_000)
    const from = found[0]?.position ?? 0
    assert.deepStrictEqual(
      found.map(({ position, bytes }) => ({ position, size: bytes.length })),
      records.filter(({ position }) => position >= from)
    )
    const gone = records.filter(({ position }) => position < from)
    assert.isAtMost(gone.at(-1)?.position ?? 0, spared.get(shard) ?? 0)
    assert.strictEqual(found.length === 0, records.length === 0)
    assert.isTrue(found.every(({ bytes }) => bytes.every((byte) => byte === bytes.length % 251)))
  }
  assert.deepStrictEqual(
    yield* log.shards,
    [...model].filter(([, records]) => records.length > 0).map(([shard]) => shard)
  )
})

const bounds = (makeLayer: MakeLogLayer): void => {
  const small: LogBounds = { softBytes: 400_000, hardBytes: 600_000 }
  const body = new Uint8Array(50_000)

  /** Appends until the log says it is full; the last position. */
  const fillUp = Effect.fnUntraced(function* (log: EventLog["Service"], from: number, reserved: boolean) {
    let last = from
    for (;;) {
      const outcome = yield* append(log, 1, last, body, reserved)
      if (outcome._tag === "Committed") last = outcome.position
      else {
        assert.deepStrictEqual(outcome, { _tag: "Refused", reason: "full" })
        return last
      }
    }
  })

  it.live("†28 keeps room between the soft and the hard bound for reserved records", () =>
    withLog(
      makeLayer,
      (log) =>
        Effect.gen(function* () {
          const last = yield* fillUp(log, 0, false)
          const { bytes } = yield* log.usage
          assert.isAtMost(bytes, small.softBytes)
          assert.isAbove(bytes, small.softBytes - 2 * body.length)
          assert.strictEqual((yield* append(log, 7, 0, body, false))._tag, "Refused")
          const epoch = yield* commit(log, 1, last, "epoch record", true)
          yield* fillUp(log, epoch, true)
          assert.isAtMost((yield* log.usage).bytes, small.hardBytes)
          assert.isTrue(Option.isNone(yield* log.last(7)))
        }),
      small
    )
  )

  it.live("WRITE-BEHIND-SAFE: a full log is read and purged, and then takes records again", () =>
    withLog(
      makeLayer,
      (log) =>
        Effect.gen(function* () {
          const last = yield* fillUp(log, yield* fillUp(log, 0, false), true)
          assert.isAbove((yield* log.readAfter(1, 0, 10_000_000)).length, 8)
          yield* log.purge(1, last)
          assert.isBelow((yield* log.usage).bytes, 2 * body.length)
          yield* commit(log, 1, last, "on")
        }),
      small
    )
  )
}

const consumers = (makeLayer: MakeLogLayer): void => {
  it.live("keeps a position a consumer and shard, which never moves back", () =>
    withLog(makeLayer, (log) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* log.consumerPosition("persister", 1), 0)
        yield* log.setConsumerPosition("persister", 1, 5)
        yield* log.setConsumerPosition("persister", 1, 3)
        yield* log.setConsumerPosition("fanout", 1, 2)
        assert.strictEqual(yield* log.consumerPosition("persister", 1), 5)
        assert.strictEqual(yield* log.consumerPosition("fanout", 1), 2)
        assert.strictEqual(yield* log.consumerPosition("persister", 2), 0)
      })
    )
  )
}

const reopening = (makeLayer: MakeLogLayer): void => {
  it.live("DURABLE-BEFORE-ACK: finds records, fence and positions again, also after a purge", () =>
    Effect.gen(function* () {
      const layer = makeLayer(roomy)
      const [positions, bytes] = yield* onLayer(layer, (log) =>
        Effect.gen(function* () {
          const positions = yield* fill(log, 1, ["a", "b", "c"])
          yield* fill(log, 4, ["x".repeat(30_000)])
          yield* log.purge(1, positions[0] ?? 0)
          yield* log.setConsumerPosition("persister", 1, positions[1] ?? 0)
          return [positions, (yield* log.usage).bytes] as const
        })
      )
      yield* onLayer(layer, (log) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(texts(yield* log.readAfter(1, 0, 100)), ["b", "c"])
          assert.strictEqual(lastText(yield* log.last(4)), "x".repeat(30_000))
          assert.deepStrictEqual(yield* log.shards, [1, 4])
          assert.strictEqual((yield* log.usage).bytes, bytes)
          assert.strictEqual(yield* log.consumerPosition("persister", 1), positions[1])
          const last = positions[2] ?? 0
          assert.deepStrictEqual(yield* append(log, 1, 0, "z"), { _tag: "WrongSequence", actual: last })
          yield* log.setConsumerPosition("persister", 1, 1)
          assert.strictEqual(yield* log.consumerPosition("persister", 1), positions[1])
          yield* commit(log, 1, last, "d")
        })
      )
      yield* onLayer(layer, (log) => Effect.map(log.last(1), (last) => assert.strictEqual(lastText(last), "d")))
    })
  )
}
