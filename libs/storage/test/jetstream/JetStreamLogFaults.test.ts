/** The log while real servers are hurt: leaders stepped down and killed, servers paused, streams full, gone, or lied to. */
import { type DiscardPolicy, jetstreamManager } from "@nats-io/jetstream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Option, Schedule } from "effect"
import { afterAll } from "vitest"
import { EventLog } from "../../src/EventLog.ts"
import { JetStreamEventLog } from "../../src/jetstream/JetStreamEventLog.ts"
import { LogHealth } from "../../src/jetstream/LogHealth.ts"
import { connectNats, Nats, type NatsOptions } from "../../src/jetstream/Nats.ts"
import { append, commit, text } from "../EventLogContract.ts"
import { readAll, writeAll, writeOne, type Written } from "./LogWriter.ts"
import { type OwnServers, ownServers } from "./OwnServers.ts"
import { logLayer, natsLogin, natsServers, ownPrefix, removeStreams } from "./TestNats.ts"

const prefix = ownPrefix()
let logs = 0
const nextPrefix = (): string => `${prefix}-${logs++}`
afterAll(() => removeStreams(prefix))

type Log = EventLog["Service"]
const onLog = <A, E, R>(
  layer: Layer.Layer<EventLog | LogHealth, unknown>,
  body: (log: Log) => Effect.Effect<A, E, R>
) => Effect.flatMap(EventLog, body).pipe(Effect.provide(Layer.fresh(layer), { local: true }))

const nats = (options: NatsOptions) =>
  connectNats(options).pipe(
    Effect.flatMap((connection) =>
      Effect.promise(() => jetstreamManager(connection, { checkAPI: false })).pipe(
        Effect.map((manager) => ({ connection, manager }))
      )
    )
  )
const shared = (): NatsOptions => ({ servers: natsServers(), name: "test", ...natsLogin() })

const ownLog = (servers: OwnServers, own: string, replicas = 3, softBytes = 100_000_000) =>
  JetStreamEventLog.layerSetup({
    prefix: own,
    streams: 1,
    shards: 16,
    softBytes,
    hardBytes: 120_000_000,
    system: servers.system,
    // A record's id is forgotten before it is tried again: the expected sequence has to do.
    duplicateWindowMs: 100,
    replicas,
    unsafe: replicas < 3
  }).pipe(Layer.provide(Nats.layer(servers.application)), Layer.provide(Logger.layer([])))

/** Every acknowledged record is there, once, at its place, and nothing else is. */
const sameAsWritten = Effect.fnUntraced(function* (log: Log, written: ReadonlyArray<ReadonlyArray<Written>>) {
  for (const [shard, records] of written.entries()) {
    assert.deepStrictEqual(yield* readAll(log, shard), records, `shard ${shard}`)
  }
})

describe("the JetStream log in trouble", () => {
  it.live("loses and doubles nothing while its leader is stepped down again and again", () => {
    const own = nextPrefix()
    return onLog(logLayer({ prefix: own }), (log) =>
      Effect.gen(function* () {
        const { connection } = yield* nats(shared())
        const seen = { ambiguous: 0, wrong: 0 }
        const shards = [0, 1, 2, 3, 4, 5, 6, 7]
        const writers = yield* Effect.forkScoped(
          Effect.all(
            shards.map((shard) => writeAll(log, shard, 80, seen)),
            { concurrency: "unbounded" }
          )
        )
        const stepDown = Effect.tryPromise(() => connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${own}-log-0`))
        const hurting = yield* Effect.forkScoped(
          stepDown.pipe(Effect.ignore, Effect.repeat(Schedule.spaced("250 millis")))
        )
        const written = yield* Fiber.join(writers)
        yield* Fiber.interrupt(hurting)
        assert.isAbove(seen.ambiguous + seen.wrong, 0, "no append was hurt")
        yield* sameAsWritten(log, written)
      }).pipe(Effect.scoped)
    )
  })

  it.live(
    "loses and doubles nothing when the leader's server is killed, and goes on without it",
    () =>
      Effect.gen(function* () {
        const servers = yield* ownServers({ servers: 3 })
        const own = ownPrefix()
        yield* onLog(ownLog(servers, own), (log) =>
          Effect.gen(function* () {
            const seen = { ambiguous: 0, wrong: 0 }
            const sofar = [0, 1, 2, 3].map((): Array<Written> => [])
            const writers = yield* Effect.forkScoped(
              Effect.all(
                sofar.map((written, shard) => writeAll(log, shard, 400, seen, written)),
                { concurrency: "unbounded" }
              )
            )
            const { manager } = yield* nats(servers.application)
            const { cluster } = yield* Effect.promise(() => manager.streams.info(`${own}-log-0`))
            yield* Effect.suspend(() =>
              sofar.every(({ length }) => length > 20) ? Effect.void : Effect.fail("wait")
            ).pipe(Effect.retry(Schedule.spaced("5 millis")))
            servers.signal(cluster?.leader ?? "n1", "SIGKILL")
            const written = yield* Fiber.join(writers)
            assert.isAbove(seen.ambiguous, 0, "no append was hurt")
            yield* sameAsWritten(log, written)
          }).pipe(Effect.scoped)
        )
      }).pipe(Effect.scoped),
    90_000
  )

  it.live(
    "says that it doesn't know while its server is paused or gone, seals nothing without a connection, and comes back",
    () =>
      Effect.gen(function* () {
        const servers = yield* ownServers({ servers: 1 })
        const own = ownPrefix()
        const well = { connected: true, silentMs: 0, silent: [], warnings: [] }
        yield* onLog(ownLog(servers, own, 1, 150_000), (log) =>
          Effect.gen(function* () {
            const first = yield* commit(log, 1, 0, "a")
            const health = yield* LogHealth
            assert.deepStrictEqual({ ...health.state(), warnings: [] }, well)
            const large = "b".repeat(90_000)
            servers.signal("n1", "SIGSTOP")
            assert.match(String(Object.values(yield* append(log, 1, first, large))), /Ambiguous,no answer within/)
            assert.deepStrictEqual(health.state().silent, [`${own}-log-0`])
            // It may be there, so there is no room for another one …
            assert.deepStrictEqual(yield* append(log, 2, 0, large), { _tag: "Refused", reason: "full" })
            servers.signal("n1", "SIGCONT")
            // … but for itself: only the server can say whether it is written, and it is once.
            const written = yield* writeOne(log, 1, first, large)

            assert.deepStrictEqual({ ...health.state(), warnings: [] }, well)
            servers.signal("n1", "SIGKILL")
            const unsealed = yield* untilNotConnected(log, written)
            assert.strictEqual(unsealed._tag, "Ambiguous")
            assert.isFalse(health.state().connected)
            assert.isAbove(health.state().silentMs, 0)
            assert.isTrue((yield* log.last(1).pipe(Effect.flip))._tag === "LogUnavailable")
            yield* Effect.promise(() => servers.start("n1"))
            yield* writeOne(log, 1, written, "c")
            assert.deepStrictEqual(
              (yield* readAll(log, 1)).map(({ body }) => body),
              ["a", large, "c"]
            )
          })
        )
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("†19 †21 the same record again is committed where it is, within and beyond the servers' memory of it", () =>
    onLog(logLayer({ prefix: nextPrefix(), duplicateWindowMs: 300 }), (log) =>
      Effect.gen(function* () {
        const position = yield* commit(log, 1, 0, "a")
        assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "Committed", position })
        // Elsewhere the same bytes are another record, and other bytes there are not this one, however soon they come.
        const elsewhere = yield* commit(log, 2, 0, "a")
        assert.isAbove(yield* commit(log, 2, elsewhere, "a"), elsewhere)
        assert.deepStrictEqual(yield* append(log, 1, 0, "b"), { _tag: "WrongSequence", actual: position })
        const beyond = yield* append(log, 1, 0, "a").pipe(
          Effect.filterOrFail(
            ({ _tag }) => _tag !== "Committed",
            () => "still known"
          ),
          Effect.retry(Schedule.spaced("50 millis")),
          Effect.timeout("20 seconds")
        )
        assert.deepStrictEqual(beyond, { _tag: "WrongSequence", actual: position })
        const there = yield* log.read(1, position)
        assert.isTrue(Option.isSome(there) && text(there.value) === "a")
        assert.lengthOf(yield* readAll(log, 1), 1)
      })
    )
  )

  it.live("†19 †21 and so is one that went with others, all of which have their places", () =>
    onLog(logLayer({ prefix: nextPrefix() }), (log) =>
      Effect.gen(function* () {
        const shards = [1, 2, 3, 4, 5]
        const together = (body: string, lasts: ReadonlyArray<number>) =>
          Effect.forEach(shards, (shard, at) => commit(log, shard, lasts[at] ?? 0, body), { concurrency: "unbounded" })
        // The first of them leaves with what comes in its turn.
        const first = yield* together("a", [])
        assert.deepStrictEqual(first, [1, 2, 3, 4, 5])
        const second = yield* together("b", first)
        assert.deepStrictEqual(second, [6, 7, 8, 9, 10])
        // Elsewhere than where it was: nobody knows whether it went alone or not.
        assert.deepStrictEqual(yield* together("b", first), second)
        assert.deepStrictEqual(yield* append(log, 3, 3, "c"), { _tag: "WrongSequence", actual: 8 })
        for (const shard of shards)
          assert.deepStrictEqual(
            (yield* readAll(log, shard)).map(({ body }) => body),
            ["a", "b"]
          )
      })
    )
  )

  it.live("takes the records of a stream without batches one by one", () => {
    const own = nextPrefix()
    return onLog(logLayer({ prefix: own }), (log) =>
      Effect.gen(function* () {
        const { manager } = yield* nats(shared())
        yield* Effect.promise(() => manager.streams.update(`${own}-log-0`, { allow_atomic: false }))
        for (let round = 0; round < 2; round++) {
          yield* Effect.forEach(
            [1, 2, 3],
            (shard) =>
              log
                .last(shard)
                .pipe(
                  Effect.flatMap((last) =>
                    commit(log, shard, Option.match(last, { onNone: () => 0, onSome: ({ position }) => position }), "a")
                  )
                ),
            { concurrency: "unbounded" }
          )
        }
        for (const shard of [1, 2, 3]) assert.lengthOf(yield* readAll(log, shard), 2)
      }).pipe(Effect.scoped)
    )
  })

  it.live("†28 refuses at its hard bound what is new, and still says where the same record is", () =>
    onLog(logLayer({ prefix: nextPrefix(), softBytes: 100_000, hardBytes: 200_000 }), (log) =>
      Effect.gen(function* () {
        const body = new Uint8Array(90_000)
        const position = yield* commit(log, 1, 0, body)
        assert.deepStrictEqual(yield* append(log, 2, 0, body), { _tag: "Refused", reason: "full" })
        yield* commit(log, 2, 0, body, true)
        assert.deepStrictEqual(yield* append(log, 3, 0, body, true), { _tag: "Refused", reason: "full" })
        assert.deepStrictEqual(yield* append(log, 1, 0, body, true), { _tag: "Committed", position })
        assert.deepStrictEqual(yield* log.shards, [1, 2])
      })
    )
  )

  it.live("†28 goes on by itself after another node has purged the stream", () => {
    const layer = () => logLayer({ prefix: own, softBytes: 300_000, hardBytes: 400_000 })
    const own = nextPrefix()
    return onLog(layer(), (mine) =>
      onLog(layer(), (other) =>
        Effect.gen(function* () {
          const body = new Uint8Array(90_000)
          const first = yield* commit(mine, 1, 0, body)
          const second = yield* commit(mine, 1, first, body)
          const last = yield* commit(mine, 1, second, body)
          assert.deepStrictEqual(yield* append(mine, 1, last, body), { _tag: "Refused", reason: "full" })
          yield* other.purge(1, last)
          yield* append(mine, 1, last, body).pipe(
            Effect.filterOrFail(
              ({ _tag }) => _tag === "Committed",
              () => "full"
            ),
            Effect.retry(Schedule.spaced("20 millis")),
            Effect.timeout("5 seconds")
          )
        })
      )
    )
  })

  it.live("†27 purges nothing that would empty a subject, whatever it is asked", () =>
    onLog(logLayer({ prefix: nextPrefix() }), (log) =>
      Effect.gen(function* () {
        const only = yield* commit(log, 1, 0, "only")
        const other = yield* commit(log, 2, 0, "other")
        for (const upTo of [0, 1, only, other, other + 1, 1e9]) {
          yield* log.purge(1, upTo)
          yield* log.purge(5, upTo)
          assert.deepStrictEqual(yield* log.shards, [1, 2], `purge up to ${upTo}`)
        }
        assert.deepStrictEqual(yield* append(log, 1, 0, "an old owner"), { _tag: "WrongSequence", actual: only })
      })
    )
  )

  it.live("†24 tells the truth about a stream that is gone, and about one that came back empty", () => {
    const own = nextPrefix()
    return onLog(logLayer({ prefix: own }), (log) =>
      Effect.gen(function* () {
        const { manager } = yield* nats(shared())
        const first = yield* commit(log, 1, 0, "a")
        const second = yield* commit(log, 1, first, "b")
        const { config } = yield* Effect.promise(() => manager.streams.info(`${own}-log-0`))
        yield* Effect.promise(() => manager.streams.delete(`${own}-log-0`))
        assert.strictEqual((yield* append(log, 1, second, "c"))._tag, "Ambiguous")
        assert.strictEqual((yield* log.last(1).pipe(Effect.flip))._tag, "LogUnavailable")
        yield* Effect.promise(() => manager.streams.add(config))
        assert.isTrue(Option.isNone(yield* log.last(1)))
        const outcome = yield* append(log, 1, second, "c").pipe(
          Effect.filterOrFail(
            ({ _tag }) => _tag !== "Ambiguous",
            () => "no leader yet"
          ),
          Effect.retry(Schedule.spaced("50 millis"))
        )
        assert.deepStrictEqual(outcome, { _tag: "WrongSequence", actual: 0 })
      }).pipe(Effect.scoped)
    )
  })

  it.live("ends a batch before a hole, and gets on behind it", () => {
    const own = nextPrefix()
    return onLog(logLayer({ prefix: own }), (log) =>
      Effect.gen(function* () {
        const { connection } = yield* nats(shared())
        yield* commit(log, 1, 0, "a")
        // A record that follows none, as where one is missing before it.
        yield* Effect.promise(() => connection.request(`${own}.log.0.1`, "b"))
        yield* onLog(logLayer({ prefix: own }), (elsewhere) =>
          Effect.gen(function* () {
            const [after] = yield* elsewhere.readAfter(1, 0, 1_000)
            assert.deepStrictEqual((yield* elsewhere.readAfter(1, 0, 1_000)).map(text), ["a"])
            assert.deepStrictEqual((yield* elsewhere.readAfter(1, after?.position ?? 0, 1_000)).map(text), ["b"])
          })
        )
      }).pipe(Effect.scoped)
    )
  })

  it.live("†24 says which record is lost where those around it are there, and is silent about what was purged", () => {
    const own = nextPrefix()
    return Effect.gen(function* () {
      const { manager } = yield* nats(shared())
      // A stream from which a message can be deleted, as the log's own can't.
      const stream = { name: `${own}-log-0`, subjects: [`${own}.log.0.*`], num_replicas: 3, allow_direct: true }
      // as: the client's enum is a string, and this is its value.
      yield* Effect.promise(() => manager.streams.add({ ...stream, discard: "new" as DiscardPolicy }))
      yield* onLog(logLayer({ prefix: own }), (log) =>
        Effect.gen(function* () {
          const positions: Array<number> = []
          for (const body of ["a", "b", "c", "d"]) {
            positions.push(yield* commit(log, 1, positions.at(-1) ?? 0, body))
          }
          const [first = 0, second = 0, third = 0] = positions
          yield* log.purge(1, first)
          // The node that wrote them has them from memory.
          yield* onLog(logLayer({ prefix: own }), (elsewhere) =>
            Effect.gen(function* () {
              assert.deepStrictEqual((yield* elsewhere.readAfter(1, 0, 1_000)).map(text), ["b", "c", "d"])
              assert.deepStrictEqual((yield* elsewhere.readAfter(1, first, 1_000)).map(text), ["b", "c", "d"])
              yield* Effect.promise(() => manager.streams.deleteMessage(stream.name, third))
              assert.deepStrictEqual((yield* elsewhere.readAfter(1, first, 1_000)).map(text), ["b"])
              const lost = yield* elsewhere.readAfter(1, second, 1_000).pipe(Effect.flip)
              assert.isTrue(lost._tag === "LogDamaged" && lost.position === third && lost.shard === 1)
            })
          )
        })
      )
    }).pipe(Effect.scoped)
  })

  it.live("spreads shards over its streams, each with its own bound, and is as full as the fullest of them", () =>
    onLog(logLayer({ prefix: nextPrefix(), streams: 3, softBytes: 300_000, hardBytes: 600_000 }), (log) =>
      Effect.gen(function* () {
        const body = new Uint8Array(90_000)
        yield* commit(log, 3, 0, body)
        assert.deepStrictEqual(yield* append(log, 6, 0, body), { _tag: "Refused", reason: "full" })
        yield* commit(log, 1, 0, body)
        yield* commit(log, 5, 0, "small")
        assert.deepStrictEqual(yield* log.shards, [1, 3, 5])
        assert.isAbove((yield* log.usage).bytes, 3 * 90_000)
        assert.isAtMost((yield* log.usage).bytes, 300_000)
      })
    )
  )

  it.live("reads the largest record whole, from the leader and in a batch", () =>
    onLog(logLayer({ prefix: nextPrefix() }), (log) =>
      Effect.gen(function* () {
        const body = Buffer.alloc(1_000_000, "0123456789")
        const position = yield* commit(log, 1, 0, body)
        const last = yield* log.last(1)
        const [batched] = yield* log.readAfter(1, 0, 1)
        assert.isTrue(Option.isSome(last) && body.equals(last.value.bytes) && last.value.position === position)
        assert.isTrue(batched !== undefined && body.equals(batched.bytes))
      })
    )
  )
})

/** Appends whose `seal` must not be called once the connection is known to be lost. */
const untilNotConnected = Effect.fnUntraced(function* (log: Log, expectedLast: number) {
  for (;;) {
    let sealed = false
    const outcome = yield* Effect.callback<Parameters<Parameters<Log["append"]>[0]["settle"]>[0]>((resume) =>
      log.append({
        shard: 1,
        expectedLast,
        seal: () => ((sealed = true), Buffer.from("c")),
        reserved: false,
        settle: (outcome) => resume(Effect.succeed(outcome))
      })
    )
    if (!sealed) return outcome
    assert.strictEqual(outcome._tag, "Ambiguous")
  }
})
