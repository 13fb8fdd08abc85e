/** The services that tests are given: each answers to a client of the product, by the login that comes with it. */
import { connect } from "@nats-io/transport-node"
import { jetstreamManager } from "@nats-io/jetstream"
import { Client } from "cassandra-driver"
import { Redis } from "ioredis"
import { afterEach, expect, it, vi } from "vitest"
import { cassandraContactPoint, natsOptions, redisUrl } from "./Services.ts"

interface ServerVariables {
  readonly data: { readonly jetstream: { readonly config: { readonly sync_always?: boolean } } }
}

afterEach(() => vi.unstubAllEnvs())

it("NATS has JetStream for the application", async () => {
  const nats = await connect(await natsOptions())
  const manager = await jetstreamManager(nats)
  expect((await manager.getAccountInfo()).streams).toBeGreaterThanOrEqual(0)
  await nats.close()
})

it("each NATS server says over the system account that it writes to disk before it acknowledges", async () => {
  const options = await natsOptions("system")
  const nats = await connect(options)
  const answers = await nats.requestMany("$SYS.REQ.SERVER.PING.VARZ", "{}", {
    strategy: "count",
    maxMessages: options.servers.length,
    maxWait: 5_000
  })
  const always: Array<boolean | undefined> = []
  for await (const answer of answers) always.push(answer.json<ServerVariables>().data.jetstream.config.sync_always)
  expect(always).toEqual(options.servers.map(() => true))
  await nats.close()
})

it("Cassandra answers a query, in the version that Parley needs", async () => {
  const cassandra = new Client({ contactPoints: [await cassandraContactPoint()], localDataCenter: "datacenter1" })
  const { rows } = await cassandra.execute("SELECT release_version FROM system.local")
  expect(rows[0]?.["release_version"]).toMatch(/^5\./)
  await cassandra.shutdown()
})

it("Redis answers", async () => {
  const redis = new Redis(await redisUrl(), { lazyConnect: true })
  expect(await redis.ping()).toBe("PONG")
  redis.disconnect()
})

it("a test whose service is missing fails with what to do, or with why it is missing", async () => {
  for (const name of ["NATS", "CASSANDRA", "REDIS"]) {
    vi.stubEnv(`PARLEY_TEST_${name}`, "")
    vi.stubEnv(`PARLEY_TEST_${name}_WHY_NOT`, undefined)
  }
  await expect(natsOptions()).rejects.toThrow("set PARLEY_TEST_NATS, or run it by `npm test`")
  await expect(cassandraContactPoint()).rejects.toThrow("set PARLEY_TEST_CASSANDRA")
  vi.stubEnv("PARLEY_TEST_REDIS_WHY_NOT", "Redis can't be had here.")
  await expect(redisUrl()).rejects.toThrow("it could not be started: Redis can't be had here.")
})

it("servers that let anybody in need no login; their system account does", async () => {
  vi.stubEnv("PARLEY_TEST_NATS", "nats://one:4222,nats://two:4222")
  for (const name of ["USER", "SYSTEM_USER"]) vi.stubEnv(`PARLEY_TEST_NATS_${name}`, undefined)
  expect(await natsOptions()).toEqual({ servers: ["nats://one:4222", "nats://two:4222"] })
  await expect(natsOptions("system")).rejects.toThrow("PARLEY_TEST_NATS_SYSTEM_USER")
})
