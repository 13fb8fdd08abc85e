/** The connection to Redis: how it may be configured, against real servers of each kind, and its bounds. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CursorStore } from "../../src/CursorStore.ts"
import { layerMemory } from "../../src/memory/MemoryCursorStore.ts"
import { layerRedis } from "../../src/redis/RedisCursorStore.ts"
import { Redis, redisScript } from "../../src/redis/Redis.ts"
import { blipMs, inFlightMax, type RedisOptions, RedisOptionsInvalid } from "../../src/redis/RedisOptions.ts"
import { cursorStoreContract } from "../CursorStoreContract.ts"
import { proxyTo } from "./Line.ts"
import { redisCluster, redisSentinel, redisServer } from "./RedisServer.ts"

const redisOf = (options: Omit<RedisOptions, "addresses"> & { readonly addresses: ReadonlyArray<string> }) =>
  Redis.layer({ ...options, addresses: options.addresses.map((it) => Redacted.make(it)) })

const open = (...[options]: Parameters<typeof redisOf>) =>
  Effect.map(Layer.build(Layer.fresh(redisOf(options))), (context) => Context.get(context, Redis))

const echo = redisScript("return ARGV[1]")
const answers = (redis: Redis["Service"]) => redis.run(echo, ["k"], ["hello"])
/** A Sentinel whose first failover came to nothing begins the next seconds later, and a busy machine takes its time. */
const becomes = (redis: Redis["Service"]) =>
  Effect.retry(answers(redis), { schedule: Schedule.spaced(20), times: 2_000 })

const until = <E>(holds: Effect.Effect<boolean, E>) =>
  Effect.retry(
    Effect.flatMap(holds, (it) => (it ? Effect.void : Effect.fail(new Error("not so yet")))),
    { schedule: Schedule.spaced(50), times: 600 }
  )

cursorStoreContract(
  "A Redis Cluster",
  layerRedis.pipe(
    Layer.provide(layerMemory),
    Layer.provide(Layer.unwrap(Effect.map(redisCluster, ([one]) => redisOf({ addresses: [one.url], cluster: true }))))
  )
)

describe("The connection to Redis", () => {
  it.live("asks all nodes of a Cluster, whichever it was told of", () =>
    Effect.gen(function* () {
      const [one, two] = yield* redisCluster
      const redis = yield* open({ addresses: [two.url], cluster: true })
      yield* becomes(redis)
      const keep = redisScript("return redis.call('SET', KEYS[1], ARGV[1])")
      for (let at = 0; at < 40; at++) yield* redis.run(keep, [`k${at}`], [at])
      const counts = yield* Effect.promise(() => Promise.all([one.ask("DBSIZE"), two.ask("DBSIZE")]))
      assert.strictEqual(
        counts.reduce<number>((sum, count) => sum + Number(count), 0),
        40
      )
      for (const count of counts) assert.isAbove(Number(count), 0)
    })
  )

  it.live("is one of a user with no more rights than it needs, by a password that no error tells", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const commands = "evalsha eval info hget hset hmget hgetall hdel pexpire del time get set zadd zcard zpopmin"
      const rights = commands.split(" ").map((name) => `+${name}`)
      yield* Effect.promise(() =>
        server.ask("ACL", "SETUSER", "parley", "on", ">s3cret@", "~parley:*", ...rights, "+ping", "+client|setname")
      )
      yield* Effect.promise(() => server.ask("ACL", "SETUSER", "default", "off"))
      const address = `redis://parley:${encodeURIComponent("s3cret@")}@127.0.0.1:${server.port}`
      const redis = yield* open({ addresses: [address] })
      assert.strictEqual(yield* becomes(redis), "hello")
      const store = Context.get(
        yield* Layer.build(layerRedis.pipe(Layer.provide(layerMemory), Layer.provide(Layer.succeed(Redis, redis)))),
        CursorStore
      )
      yield* store.merge("ann", [{ channel: "test:a", position: { generation: 0, seq: 4 } }])
      assert.lengthOf(yield* store.read("ann"), 1)
      const foreign = yield* Effect.flip(redis.run(redisScript("return redis.call('GET', 'other')"), ["k"], []))
      assert.match(foreign.message, /can't access|permission/i)
      const wrong = yield* open({ addresses: [address.replace("s3cret", "wr0ng")] })
      const error = yield* Effect.flip(answers(wrong))
      assert.match(error.message, /WRONGPASS|invalid username-password/)
      assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "wr0ng")
    })
  )

  it.live("is encrypted, to a server whose certificate the given CA signed, and to no other", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-redis-tls-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")]
      const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
      execFileSync(
        "openssl",
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", cert, ...subject],
        { stdio: "ignore" }
      )
      const server = yield* redisServer()
      yield* Effect.promise(() => server.ask("CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key))
      yield* Effect.promise(() => server.ask("CONFIG", "SET", "tls-ca-cert-file", cert, "tls-auth-clients", "no"))
      const other = yield* redisServer()
      const port = other.port
      yield* Effect.promise(() => other.kill())
      yield* Effect.promise(() => server.ask("CONFIG", "SET", "tls-port", `${port}`))
      const addresses = [`rediss://127.0.0.1:${port}`]
      const redis = yield* open({ addresses, tlsCa: readFileSync(cert, "utf8") })
      assert.strictEqual(yield* becomes(redis), "hello")
      const stranger = yield* open({ addresses })
      const error = yield* Effect.flip(answers(stranger))
      assert.match(error.message, /self-signed|certificate/)
    })
  )

  it.live(
    "†5 follows Sentinels to the new master; cursors of a replica that was behind are not believed",
    () =>
      Effect.gen(function* () {
        const master = yield* redisServer()
        const line = yield* proxyTo(master.port)
        const replica = yield* redisServer("--replicaof", "127.0.0.1", new URL(line.url).port)
        const inSync = Effect.gen(function* () {
          const info = String(yield* Effect.promise(() => replica.ask("INFO", "replication")))
          if (!info.includes("master_link_status:up")) return yield* Effect.fail(new Error("not in sync"))
        })
        yield* Effect.retry(inSync, { schedule: Schedule.spaced(50), times: 600 })
        const sentinel = yield* redisSentinel(master)
        const knowsBoth = Effect.gen(function* () {
          const found = yield* Effect.promise(() => sentinel.ask("SENTINEL", "REPLICAS", "chat"))
          if (!JSON.stringify(found).includes(`${replica.port}`)) return yield* Effect.fail(new Error("no replica yet"))
        })
        yield* Effect.retry(knowsBoth, { schedule: Schedule.spaced(100), times: 300 })

        const redis = yield* open({ addresses: [sentinel.url], sentinelMaster: "chat" })
        yield* becomes(redis)
        const store = Context.get(
          yield* Layer.build(layerRedis.pipe(Layer.provide(layerMemory), Layer.provide(Layer.succeed(Redis, redis)))),
          CursorStore
        )
        const at = (seq: number) => ({ channel: "test:a", position: { generation: 0, seq } })
        yield* store.merge("ann", [at(5)])
        yield* store.read("ann")
        const copied = Effect.gen(function* () {
          const hash = yield* Effect.promise(() => replica.ask("HGET", "parley:cursors:ann", "#"))
          if (typeof hash !== "string") return yield* Effect.fail(new Error("not copied yet"))
        })
        yield* Effect.retry(copied, { schedule: Schedule.spaced(20), times: 1_500 })
        line.cut()
        yield* store.merge("ann", [at(9)])
        assert.strictEqual(yield* Effect.promise(() => replica.ask("HGET", "parley:cursors:ann", "test:a")), "0:5")
        yield* Effect.promise(() => master.kill())
        yield* becomes(redis)
        assert.match(String(yield* Effect.promise(() => replica.ask("INFO", "replication"))), /role:master/)
        assert.deepStrictEqual(yield* store.read("ann"), [at(9)])
      }),
    120_000
  )

  it.live(
    "comes back after a failover that it hears of just while it asks the Sentinels for the master",
    () =>
      Effect.gen(function* () {
        const master = yield* redisServer()
        const replica = yield* redisServer("--replicaof", "127.0.0.1", `${master.port}`)
        const sentinel = yield* redisSentinel(master)
        const line = yield* proxyTo(sentinel.port)
        const sentinelSays = (text: string, ...command: ReadonlyArray<string>) =>
          until(
            Effect.map(
              Effect.promise(() => sentinel.ask(...command)),
              (answer) => JSON.stringify(answer).includes(text)
            )
          )
        yield* sentinelSays(`${replica.port}`, "SENTINEL", "REPLICAS", "chat")
        const redis = yield* open({ addresses: [line.url], sentinelMaster: "chat" })
        yield* becomes(redis)
        yield* sentinelSays("cmd=subscribe", "CLIENT", "LIST")
        line.hold()
        yield* Effect.promise(() => master.kill())
        yield* until(Effect.sync(() => line.held > 0))
        yield* sentinelSays(`${replica.port}`, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chat")
        yield* until(Effect.sync(() => line.passing === 0))
        line.letGo()
        yield* becomes(redis)
      }),
    120_000
  )

  it.live("waits out a blip, and then says at once that the server is away", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const line = yield* proxyTo(server.port)
      const redis = yield* open({ addresses: [line.url] })
      assert.strictEqual(yield* answers(redis), "hello")
      assert.strictEqual(yield* redis.awayMs, 0)
      line.cut()
      const began = performance.now()
      yield* Effect.flip(becomesAway(redis))
      const error = yield* Effect.flip(answers(redis))
      assert.match(error.message, /away/)
      assert.isAbove(yield* redis.awayMs, 0)
      assert.isAtLeast(performance.now() - began, blipMs - 50)
      const again = performance.now()
      for (let at = 0; at < 100; at++) yield* Effect.flip(answers(redis))
      assert.isBelow(performance.now() - again, blipMs)
      line.mend()
      assert.strictEqual(yield* becomes(redis), "hello")
    })
  )

  it.live("knows its scripts again after the server forgot them, and refuses more than it can carry", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      const redis = yield* open({ addresses: [server.url] })
      assert.strictEqual(yield* answers(redis), "hello")
      yield* Effect.promise(() => server.ask("SCRIPT", "FLUSH"))
      assert.strictEqual(yield* answers(redis), "hello")
      server.signal("SIGSTOP")
      const all = yield* Effect.forEach(
        Array.from({ length: inFlightMax + 10 }),
        () => Effect.match(answers(redis), { onFailure: (error) => error.message, onSuccess: () => "" }),
        { concurrency: "unbounded" }
      )
      server.signal("SIGCONT")
      assert.strictEqual(all.filter((message) => message.includes("on the way already")).length, 10)
      assert.strictEqual(yield* becomes(redis), "hello")
    })
  )

  it.live("is refused where it can't be meant so, without telling an address", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [Parameters<typeof redisOf>[0], RegExp]> = [
        [{ addresses: [] }, /no address/],
        [{ addresses: ["http://user:s3cret@redis"] }, /address 1/],
        [{ addresses: ["redis://a", "nonsense s3cret"] }, /address 2/],
        [{ addresses: ["redis://a/s3cret"] }, /address 1/],
        [{ addresses: ["redis://a", "redis://b"] }, /say which/],
        [{ addresses: ["redis://a", "rediss://b"], cluster: true }, /rediss/],
        [{ addresses: ["redis://a/3"], cluster: true }, /no databases/],
        [{ addresses: ["redis://a"], cluster: true, sentinelMaster: "chat" }, /not both/]
      ]
      for (const [options, sentence] of wrong) {
        const error = yield* Effect.flip(Layer.build(redisOf(options)))
        assert.instanceOf(error, RedisOptionsInvalid)
        assert.match(error.message, sentence)
        assert.notInclude(error.message, "s3cret")
      }
    })
  )
})

/** Succeeds as long as it answers. */
const becomesAway = (redis: Redis["Service"]) => Effect.forever(answers(redis))
