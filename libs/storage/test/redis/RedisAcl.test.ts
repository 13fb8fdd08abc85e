/** Users at Redis, on real servers: the ACL that the manual gives is enough, none of it is too much, and it keeps others out. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeAuthority } from "../../../../infra/test/Certificates.ts"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { CursorStore } from "../../src/CursorStore.ts"
import { Inbox } from "../../src/Inbox.ts"
import { layerMemory } from "../../src/memory/MemoryCursorStore.ts"
import { layerRedis as layerRedisCursors } from "../../src/redis/RedisCursorStore.ts"
import {
  redisClusterCommands,
  redisCommands,
  redisRules,
  redisWorkerCommands,
  sentinelCommands
} from "../../src/redis/RedisGrants.ts"
import { layerRedis as layerRedisInbox } from "../../src/redis/RedisInbox.ts"
import type { RedisOptions } from "../../src/redis/RedisOptions.ts"
import { Redis, redisScript } from "../../src/redis/Redis.ts"
import { redisCluster, redisSentinel, type RedisServer, redisServer } from "./RedisServer.ts"

const password = "s3cret@ of parley"
const keyPrefix = "parley-chat:"

const setUser = (server: RedisServer, name: string, rules: ReadonlyArray<string>) =>
  Effect.promise(() => server.ask("ACL", "SETUSER", name, "reset", "on", `>${password}`, ...rules))

const open = (options: Omit<RedisOptions, "addresses"> & { readonly addresses: ReadonlyArray<string> }) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        Redis.layer({
          keyPrefix,
          username: "parley",
          password: Redacted.make(password),
          ...options,
          addresses: options.addresses.map((it) => Redacted.make(it))
        })
      )
    ),
    (context) => Context.get(context, Redis)
  )

/** Every script of the stores; answers what Redis refused, which the stores themselves get over. */
const exercise = (redis: Redis["Service"]) =>
  Effect.gen(function* () {
    const refusals: Array<string> = []
    const noting = Redis.of({
      ...redis,
      run: (...call) => Effect.tapError(redis.run(...call), (error) => Effect.sync(() => refusals.push(error.message)))
    })
    const stores = Layer.mergeAll(
      layerRedisCursors.pipe(Layer.provide(layerMemory)),
      layerRedisInbox({ channelsMax: 1 }).pipe(Layer.provide(Layer.mock(Cassandra, {})))
    ).pipe(Layer.provide(Layer.succeed(Redis, noting)))
    const context = yield* Layer.build(Layer.fresh(stores))
    const [cursors, inbox] = [Context.get(context, CursorStore), Context.get(context, Inbox)]
    const at = (seq: number) => ({ channel: "test:a", position: { generation: 0, seq } })
    yield* cursors.merge("ann", [at(4)])
    // Announced and filled up, then read as it is.
    for (let times = 0; times < 2; times++) assert.deepStrictEqual(yield* cursors.read("ann"), [at(4)])
    const channels = Array.from({ length: 40 }, (_, index) => ({ channel: `test:c${index}`, seq: 1 }))
    yield* inbox.active(channels)
    yield* inbox.placesOf(channels.map(({ channel }) => ({ channel, seq: 0 })))
    yield* Effect.ignore(noting.run(redisScript("return redis.call('DEL', KEYS[1])"), ["cursors:ann"], []))
    return refusals
  })

const ready = (redis: Redis["Service"]) =>
  Effect.retry(redis.run(redisScript("return ARGV[1]"), ["k"], ["hello"]), {
    schedule: Schedule.spaced(20),
    times: 1_500
  })

const foreign = (lua: string) => redisScript(`return redis.call(${lua})`)

describe("a user at Redis with the rights that the manual gives", () => {
  it.live("does all that the stores ask, and lacks some of it without any one of them", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      yield* setUser(server, "parley", redisRules(keyPrefix))
      const redis = yield* open({ addresses: [server.url] })
      yield* ready(redis)
      assert.deepStrictEqual(yield* exercise(redis), [])
      // Of a connection's own commands the client does without; the rest is needed, each of it.
      const needed = redisCommands.filter((command) => !command.includes("|") && !["info", "evalsha"].includes(command))
      for (const [index, without] of needed.entries()) {
        yield* Effect.promise(() => server.ask("FLUSHALL"))
        yield* Effect.promise(() => server.ask("SCRIPT", "FLUSH"))
        const rules = redisRules(
          keyPrefix,
          redisCommands.filter((it) => it !== without)
        )
        yield* setUser(server, `less-${index}`, rules)
        const less = yield* open({ addresses: [server.url], username: `less-${index}` })
        assert.isNotEmpty(yield* exercise(less), `${without} is not needed`)
      }
    })
  )

  it.live("reaches no other cluster's keys, and nothing of the server's", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      yield* setUser(server, "parley", redisRules(keyPrefix))
      yield* Effect.promise(() => server.ask("SET", "parley-other:cursors:ann", "1"))
      const redis = yield* open({ addresses: [server.url] })
      yield* ready(redis)
      for (const lua of [
        "'GET', 'parley-other:cursors:ann'",
        "'SET', 'parley-chat', '1'",
        "'DEL', 'x'",
        "'FLUSHALL'",
        "'KEYS', '*'",
        "'SCAN', '0'",
        "'PUBLISH', 'c', 'm'"
      ]) {
        const error = yield* Effect.flip(redis.run(foreign(lua), ["k"], []))
        assert.match(error.message, /can't (access|run)|permission/i, lua)
      }
      // Outside of scripts, too: the server says what it would have said to him.
      for (const command of [
        "CONFIG GET *",
        "ACL LIST",
        "MONITOR",
        "SHUTDOWN",
        "DEBUG SLEEP 0",
        "KEYS *",
        "SUBSCRIBE c"
      ]) {
        const said = yield* Effect.promise(() => server.ask("ACL", "DRYRUN", "parley", ...command.split(" ")))
        assert.match(String(said), /no permissions/, command)
      }
      assert.strictEqual(yield* Effect.promise(() => server.ask("GET", "parley-other:cursors:ann")), "1")
    })
  )

  it.live("as a worker notes last messages, and reaches no cursors", () =>
    Effect.gen(function* () {
      const server = yield* redisServer()
      yield* setUser(server, "worker", redisRules(`${keyPrefix}inbox:`, redisWorkerCommands))
      const redis = yield* open({ addresses: [server.url], username: "worker" })
      yield* Effect.retry(redis.run(redisScript("return ARGV[1]"), ["inbox:k"], ["hello"]), {
        schedule: Schedule.spaced(20),
        times: 1_500
      })
      const refusals: Array<string> = []
      const noting = Redis.of({
        ...redis,
        run: (...call) =>
          Effect.tapError(redis.run(...call), (error) => Effect.sync(() => refusals.push(error.message)))
      })
      const layer = layerRedisInbox({ channelsMax: 1 }).pipe(
        Layer.provide(Layer.mock(Cassandra, {})),
        Layer.provide(Layer.succeed(Redis, noting))
      )
      const inbox = Context.get(yield* Layer.build(Layer.fresh(layer)), Inbox)
      yield* inbox.active(Array.from({ length: 40 }, (_, index) => ({ channel: `test:c${index}`, seq: 1 })))
      assert.deepStrictEqual(refusals, [])
      for (const lua of ["'HSET', 'parley-chat:cursors:ann', 'a', '1'", "'HGETALL', 'parley-chat:cursors:ann'"]) {
        const error = yield* Effect.flip(redis.run(foreign(lua), ["inbox:k"], []))
        assert.match(error.message, /can't (access|run)|permission/i, lua)
      }
    })
  )

  it.live("does the same in a Cluster, where it may also ask where keys are", () =>
    Effect.gen(function* () {
      const nodes = yield* redisCluster
      for (const node of nodes) {
        yield* setUser(node, "parley", redisRules(keyPrefix, [...redisCommands, ...redisClusterCommands]))
        yield* Effect.promise(() => node.ask("ACL", "SETUSER", "default", "off"))
      }
      const redis = yield* open({ addresses: [nodes[0].url], cluster: true })
      yield* ready(redis)
      assert.deepStrictEqual(yield* exercise(redis), [])
    })
  )

  it.live("is another one at the Sentinels, with a login of its own", () =>
    Effect.gen(function* () {
      const master = yield* redisServer()
      const sentinel = yield* redisSentinel(master)
      yield* setUser(master, "parley", redisRules(keyPrefix))
      const sentinelPassword = "0f the sentinels"
      const rules = ["&*", ...sentinelCommands.map((it) => `+${it}`)]
      yield* Effect.promise(() =>
        sentinel.ask("ACL", "SETUSER", "watcher", "reset", "on", `>${sentinelPassword}`, ...rules)
      )
      yield* Effect.promise(() => sentinel.ask("ACL", "SETUSER", "default", "off"))
      const sentinels = { addresses: [sentinel.url], sentinelMaster: "chat", sentinelUsername: "watcher" }
      const redis = yield* open({ ...sentinels, sentinelPassword: Redacted.make(sentinelPassword) })
      yield* ready(redis)
      assert.deepStrictEqual(yield* exercise(redis), [])
      // The server's own password does not open them, and no error tells either.
      const wrong = yield* open({ ...sentinels, sentinelPassword: Redacted.make(password) })
      const error = yield* Effect.flip(wrong.run(redisScript("return 1"), ["k"], []))
      assert.match(error.message, /sentinels|WRONGPASS|away/i)
      assert.notInclude(`${error.message} ${JSON.stringify(error)}`, password)
    })
  )

  it.live("shows a certificate where the server asks for one, and is not let in without", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-redis-tls-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const authority = makeAuthority(folder)
      const [own, client] = [authority.issue("redis"), authority.issue("a1")]
      const stranger = makeAuthority(folder, "other").issue("a1")
      const server = yield* redisServer()
      yield* setUser(server, "parley", redisRules(keyPrefix))
      const spare = yield* redisServer()
      yield* Effect.promise(() => spare.kill())
      const files = ["tls-cert-file", own.certFile, "tls-key-file", own.keyFile, "tls-ca-cert-file", authority.caFile]
      yield* Effect.promise(() => server.ask("CONFIG", "SET", ...files, "tls-auth-clients", "yes"))
      yield* Effect.promise(() => server.ask("CONFIG", "SET", "tls-port", `${spare.port}`))
      const tls = { addresses: [`rediss://127.0.0.1:${spare.port}`], tlsCa: readFileSync(authority.caFile, "utf8") }
      const shown = ({ certFile, keyFile }: typeof client) => ({
        tlsCert: readFileSync(certFile, "utf8"),
        tlsKey: readFileSync(keyFile, "utf8")
      })
      const redis = yield* open({ ...tls, ...shown(client) })
      yield* ready(redis)
      assert.deepStrictEqual(yield* exercise(redis), [])
      for (const certificate of [{}, shown(stranger)]) {
        const refused = yield* open({ ...tls, ...certificate })
        yield* Effect.flip(refused.run(redisScript("return 1"), ["k"], []))
      }
    })
  )
})
