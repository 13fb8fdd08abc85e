/**
 * Secrets are shown nowhere. A node of a cluster gets a mark for each setting that is secret, half of them from files, at
 * its most talkative level; it works, loses Redis and NATS, has no Cassandra, gets them back, and stops; others are
 * refused at the start. No mark may be in what they print, in /metrics, /readyz or in an answer to a client.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { nkeys } from "@nats-io/transport-node"
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { choosePorts } from "../infra/services/Ports.ts"
import { type RunningServices, startServices } from "../infra/services/Services.ts"
import { settingsTable } from "@parley/node/NodeConfig"
import { redisSentinel, redisServer } from "../libs/storage/test/redis/RedisServer.ts"
import { redisRules, sentinelCommands } from "@parley/storage/redis/RedisGrants"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { WireSocket } from "./wire/WireSocket.ts"

const waitMsMax = 90_000
const marked = settingsTable.filter(({ secret }) => secret)
const marks = new Map(marked.map(({ environment }) => [environment, `mark-${randomBytes(24).toString("hex")}`]))
const mark = (environment: string): string => {
  const value = marks.get(environment)
  if (value === undefined) throw new Error(`${environment} is no secret any more`)
  return value
}

const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (const end = Date.now() + waitMsMax; !(await holds()); await delay(20)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${waitMsMax} ms`)
  }
}

/** All that anybody could read of it. */
const seen: Array<string> = []

/** The values of secret settings, every other one from a file. */
const environmentIn = (folder: Folder): Record<string, string> => {
  const environment: Record<string, string> = {}
  for (const [index, [name, value]] of [...marks].entries()) {
    if (index % 2 === 0) environment[name] = value
    else {
      writeFileSync(folder.in(`${name}.secret`), `${value}\n`, { mode: 0o600 })
      environment[`${name}_FILE`] = folder.in(`${name}.secret`)
    }
  }
  return environment
}

describe("the secrets of a node of a cluster", () => {
  let folder: Folder
  let services: RunningServices
  let cassandraPort = 0
  let environment: Record<string, string>
  const seed = Buffer.from(nkeys.createUser().getSeed()).toString()
  const scope = Effect.runSync(Scope.make())

  beforeAll(async () => {
    folder = await Folder.make()
    const permissions = { publish: { allow: [">"] }, subscribe: { allow: [">"] } }
    services = await startServices({
      data: folder.in("services"),
      environment: { ...process.env, PARLEY_NATS: "" },
      nats: {
        nodes: 1,
        users: () => [{ user: "marked", password: mark("PARLEY_NATS_PASSWORD"), permissions }],
        systemUsers: () => [{ user: "marked-check", password: mark("PARLEY_NATS_SYSTEM_PASSWORD"), permissions }]
      }
    })
    const run = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
    const redis = await run(redisServer())
    const sentinel = await run(redisSentinel(redis))
    const user = (name: string, password: string) => ["ACL", "SETUSER", name, "reset", "on", `>${password}`]
    await redis.ask(...user("parley", mark("PARLEY_REDIS_PASSWORD")), ...redisRules("parley-marked:"))
    const rules = ["&*", ...sentinelCommands.map((it) => `+${it}`)]
    await sentinel.ask(...user("watcher", mark("PARLEY_REDIS_SENTINEL_PASSWORD")), ...rules)
    // Nobody listens there: a node starts without it, and whatever it asks of it fails.
    cassandraPort = (await choosePorts(["cassandra"], ["127.0.0.1"]))["cassandra"] ?? 0
    environment = {
      ...environmentIn(folder),
      PARLEY_LOG_LEVEL: "debug",
      PARLEY_CLUSTER: "marked",
      PARLEY_NAME: "m1",
      PARLEY_SHARDS: "2",
      PARLEY_LOG_STREAMS: "1",
      PARLEY_LOG_REPLICAS: "1",
      PARLEY_UNSAFE_LOG: "true",
      PARLEY_DRAIN_WINDOW_MS: "0",
      PARLEY_DRAIN_DEADLINE_MS: "100",
      PARLEY_NATS: services.state.natsServers?.join(",") ?? "",
      PARLEY_NATS_USER: "marked",
      PARLEY_NATS_SYSTEM_USER: "marked-check",
      PARLEY_CASSANDRA: `127.0.0.1:${cassandraPort}`,
      PARLEY_CASSANDRA_USER: "marked",
      PARLEY_REDIS: sentinel.url,
      PARLEY_REDIS_SENTINEL: "chat",
      PARLEY_REDIS_SENTINEL_USER: "watcher",
      PARLEY_REDIS_USER: "parley"
    }
    const server = Server.launch({ data: folder.in("data"), environment })
    try {
      await until("the node serves", async () => server.url !== undefined || (await server.whenReady("/livez")))
      const url = server.url ?? ""
      const socket = await WireSocket.open(url, {
        onPush: () => {},
        onBroken: () => {},
        onText: (_direction, text) => seen.push(text)
      })
      const token = await developmentToken(url, "ana")
      await socket?.request("hello", { token, device: "d1", client: "test/1" })
      // Cassandra is away: what has to be loaded from it is refused.
      await socket?.request("create", { channel: "group:a", cid: newClientId(), name: "n", members: [] })
      for (const path of ["/metrics", "/readyz", "/v1/users/ana", "/v1/nothing", "/v1/cluster"]) {
        const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
        seen.push(await answer.text(), JSON.stringify([...answer.headers]))
      }
      await redis.ask(...user("parley", "another password"))
      await redis.ask("CLIENT", "KILL", "TYPE", "normal")
      await until("Redis refuses", () => server.output.includes("Redis is away"))
      await services.killNode("nats-1")
      await until("NATS is missed", () => server.output.includes("The connection to NATS is lost"))
      await services.startNode("nats-1")
      await until("NATS is back", () => server.output.includes("The connection to NATS is made again"))
      await socket?.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
      await server.stop()
      seen.push(server.output)
    } finally {
      await server.kill()
    }
  }, 400_000)
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await services?.stop()
    await folder[Symbol.asyncDispose]()
  }, 60_000)

  const shown = (secrets: Iterable<string>): ReadonlyArray<string> =>
    [...secrets].filter((secret) => seen.some((text) => text.includes(secret)))

  it("were used: it served, and missed what failed", () => {
    const all = seen.join("\n")
    for (const what of ["Parley is ready", "Redis is away", "Cassandra does not answer", "parley_shards"]) {
      expect(all).toContain(what)
    }
    expect(marks.size).toBeGreaterThanOrEqual(6)
  })

  it("are in nothing that it said", () => {
    expect(shown(marks.values())).toEqual([])
  })

  it("are in no sentence of a start that is refused", async () => {
    mkdirSync(folder.in("keys"))
    writeFileSync(folder.in("keys/seed.nk"), seed)
    const noPassword = { PARLEY_NATS_PASSWORD: "", PARLEY_NATS_PASSWORD_FILE: folder.in("none") }
    writeFileSync(folder.in("none"), "")
    const nkey = { PARLEY_NATS_NKEY_SEED: folder.in("keys/seed.nk"), PARLEY_NATS_USER: "", ...noPassword }
    const outputs = await Promise.all(
      [{ PARLEY_NATS_USER: "nobody" }, nkey].map(async (change, index) => {
        const server = Server.launch({
          data: folder.in(`refused-${index}`),
          environment: { ...environment, ...change }
        })
        await server.exited
        expect(server.output).toMatch(/no connection to NATS/)
        return server.output
      })
    )
    seen.push(...outputs)
    expect(shown([...marks.values(), seed])).toEqual([])
  }, 120_000)
})
