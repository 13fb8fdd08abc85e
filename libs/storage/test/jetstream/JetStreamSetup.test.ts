/** What the log refuses to start on, each time against real servers that are so. */
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { afterAll } from "vitest"
import { ClusterMap } from "../../src/jetstream/ClusterMap.ts"
import { JetStreamSetup, type JetStreamSetupOptions } from "../../src/jetstream/JetStreamSetup.ts"
import { connectNats, Nats, type NatsOptions } from "../../src/jetstream/Nats.ts"
import { ownServers } from "./OwnServers.ts"
import { natsLogin, natsServers, ownPrefix, removeStreams } from "./TestNats.ts"

const prefix = ownPrefix()
let logs = 0
afterAll(() => removeStreams(prefix))

const bounds = { streams: 2, shards: 16, softBytes: 2_000_000, hardBytes: 3_000_000 }
const shared = (): NatsOptions => ({ servers: natsServers(), name: "test", ...natsLogin() })

/** What the setup finds, as a node would. */
const setUp = (nats: NatsOptions, options: Partial<JetStreamSetupOptions> = {}) =>
  Effect.all([JetStreamSetup, ClusterMap]).pipe(
    Effect.provide(
      JetStreamSetup.layer({ prefix: `${prefix}-${logs++}`, ...bounds, ...options }).pipe(
        Layer.provide(Nats.layer(nats)),
        Layer.provide(Logger.layer([]))
      ),
      { local: true }
    )
  )

/** The reasons of a refusal, or a failed test. */
const refusal = (nats: NatsOptions, options: Partial<JetStreamSetupOptions> = {}) =>
  setUp(nats, options).pipe(
    Effect.flip,
    Effect.map((failure) => (failure._tag === "LogUnsafe" ? failure.message : assert.fail(failure.message)))
  )

const makeStream = (name: string, config: Partial<StreamConfig>) =>
  Effect.gen(function* () {
    const connection = yield* connectNats(shared())
    const manager = yield* Effect.promise(() => jetstreamManager(connection))
    yield* Effect.promise(() => manager.streams.add({ name, ...config }))
  }).pipe(Effect.scoped)

describe("setting up the log", () => {
  it.live(
    "starts on three servers that all sync, and while one of them is down if it was seen to",
    () =>
      Effect.gen(function* () {
        const servers = yield* ownServers({ servers: 3 })
        const { application, system } = servers
        const own = ownPrefix()
        const [setup, map] = yield* setUp(application, { prefix: own, system })
        assert.deepStrictEqual(setup.warnings, [])
        assert.deepStrictEqual(map, { shards: 16, streams: 2 })

        servers.signal("n3", "SIGKILL")
        const again = yield* setUp(application, { prefix: own, system }).pipe(Effect.retry({ times: 10 }))
        assert.match(again[0].warnings.join(), /n3 does not answer; it synced always/)
        assert.match(yield* refusal(application, { system }).pipe(Effect.retry({ times: 10 })), /n3 .*does not answer/)
      }).pipe(Effect.scoped),
    90_000
  )

  it.live("refuses servers that acknowledge before they sync, and says what to set", () =>
    Effect.gen(function* () {
      const { application, system } = yield* ownServers({ servers: 1, syncInterval: "2m" })
      const why = yield* refusal(application, { system, replicas: 1 })
      assert.include(why, "n1 acknowledges before it syncs")
      assert.include(why, `sync_interval: "always"`)
    }).pipe(Effect.scoped)
  )

  it.live("refuses servers that take smaller messages than its records", () =>
    Effect.gen(function* () {
      const { application, system } = yield* ownServers({ servers: 1, maxPayload: "64KB" })
      assert.match(yield* refusal(application, { system }), /n1 takes messages of 65536 bytes: set its max_payload/)
      assert.notMatch(yield* refusal(application, { system, recordBytesMax: 60_000, replicas: 1 }), /max_payload/)
    }).pipe(Effect.scoped)
  )

  it.live("refuses what it can't read: no system account, or one that does not let it in", () =>
    Effect.gen(function* () {
      assert.include(yield* refusal(shared()), "no system account is configured")
      const { application } = yield* ownServers({ servers: 1 })
      const why = yield* refusal(application, { system: { ...application, user: "stranger", firstConnectMs: 100 } })
      assert.include(why, "sync_interval can't be read")
      assert.include(yield* refusal(application, { system: application }), "sync_interval can't be read")
    }).pipe(Effect.scoped)
  )

  it.live("refuses streams of one replica, and says how to change them", () =>
    Effect.gen(function* () {
      const { application, system } = yield* ownServers({ servers: 1 })
      assert.match(yield* refusal(application, { system, replicas: 1 }), /has 1 replica\(s\).*--replicas 3/)
    }).pipe(Effect.scoped)
  )

  it.live("starts all the same where it is told to, and keeps the reasons for health", () =>
    Effect.gen(function* () {
      const [{ warnings }] = yield* setUp(shared(), { unsafe: true, replicas: 1 })
      assert.lengthOf(warnings, 5)
      assert.match(warnings.join("\n"), /no system account[^]*cluster has 1 replica[^]*log-1 has 1 replica/)
    })
  )

  for (const [what, config, why] of [
    ["throws old records away when it is full", { discard: "old" }, /discard old; it must be new/],
    ["forgets by age", { max_age: 3_600_000_000_000 }, /max_age 3600000000000; it must be 0/],
    ["keeps only some records of a shard", { max_msgs_per_subject: 5 }, /max_msgs_per_subject 5; it must be -1/],
    ["is in memory", { storage: "memory" }, /storage memory; it must be file/],
    ["takes other subjects", { subjects: ["elsewhere.>"] }, /takes .*elsewhere/]
  ] as const) {
    it.live(`refuses a stream that ${what}`, () =>
      Effect.gen(function* () {
        const own = `${prefix}-found-${logs++}`
        const subjects = [`${own}.log.0.*`]
        // as: the client's enums are strings, and these are their values.
        const found = {
          subjects,
          num_replicas: 3,
          discard: "new",
          allow_direct: true,
          ...config
        } as Partial<StreamConfig>
        yield* makeStream(`${own}-log-0`, "subjects" in config ? { ...found, subjects: [`${own}.elsewhere.>`] } : found)
        const [{ warnings }] = yield* setUp(shared(), { prefix: own, unsafe: true })
        assert.match(warnings.join(), why)
      })
    )
  }

  it.live("†2 refuses a node that is configured for another number of shards or streams", () =>
    Effect.gen(function* () {
      const own = `${prefix}-map`
      yield* setUp(shared(), { prefix: own, unsafe: true })
      for (const [setting, options] of [
        ["shards", { shards: 32 }],
        ["streams", { streams: 4 }]
      ] as const) {
        const failure = yield* setUp(shared(), { prefix: own, unsafe: true, ...options }).pipe(Effect.flip)
        assert.strictEqual(failure._tag, "ClusterMapMismatch")
        assert.include(failure.message, setting)
        assert.include(failure.message, `the cluster it joins has ${bounds[setting]}`)
      }
      yield* setUp(shared(), { prefix: own, unsafe: true })
    })
  )

  it.live("†2 of nodes that start at once one decides, and all have what it decided", () =>
    Effect.gen(function* () {
      const own = `${prefix}-race`
      const nodes = yield* Effect.all(
        [16, 32, 16, 32].map((shards) => setUp(shared(), { prefix: own, unsafe: true, shards }).pipe(Effect.result)),
        { concurrency: "unbounded" }
      )
      const tags = nodes.map((node) => (node._tag === "Success" ? "started" : node.failure._tag)).sort()
      assert.deepStrictEqual(tags, ["ClusterMapMismatch", "ClusterMapMismatch", "started", "started"])
    })
  )

  it.live("moves the bound of a stream that is there to what is configured", () =>
    Effect.gen(function* () {
      const own = `${prefix}-bound`
      yield* setUp(shared(), { prefix: own, unsafe: true })
      const [{ manager, warnings }] = yield* setUp(shared(), { prefix: own, unsafe: true, hardBytes: 5_000_000 })
      assert.lengthOf(warnings, 1)
      assert.isDefined(manager)
      const connection = yield* connectNats(shared())
      const again = yield* Effect.promise(() => jetstreamManager(connection))
      const { config } = yield* Effect.promise(() => again.streams.info(`${own}-log-0`))
      assert.strictEqual(config.max_bytes, 2_500_000)
    }).pipe(Effect.scoped)
  )
})
