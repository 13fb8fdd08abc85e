/** Settings: where they come from, and what is said about one that makes no sense. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { environmentName, flagName, readSettings, settingsTable } from "../src/NodeConfig.ts"

const development = { mode: "development" }
const failure = (flags: Record<string, string>) =>
  Effect.runPromise(Effect.flip(readSettings({ flags: { ...development, ...flags } })))

describe("settings", () => {
  it("come from flags over the environment over defaults", async () => {
    const environment = { PARLEY_PORT: "1234", PARLEY_IDLE_TIMEOUT_MS: "5000", PARLEY_MODE: "development" }
    const read = await Effect.runPromise(readSettings({ environment, flags: { port: "4321" } }))
    expect([read.port, read.idleTimeoutMs, read.helloTimeoutMs]).toEqual([4_321, 5_000, 10_000])
  })

  it("are refused by name, with the reason", async () => {
    expect((await failure({ port: "70000" })).message).toMatch(/--port is "70000": .*65535/)
    expect((await failure({ origins: "chat.example.com" })).message).toMatch(/--origins/)
    expect((await failure({ mode: "test" })).message).toMatch(/development/)
    const environment = { PARLEY_PORT: "x", PARLEY_MODE: "development" }
    expect((await Effect.runPromise(Effect.flip(readSettings({ environment })))).setting).toBe("PARLEY_PORT")
  })

  it("refuse development mode for everybody on the network, and production without a key", async () => {
    expect((await failure({ host: "0.0.0.0" })).message).toMatch(/loopback/)
    expect((await failure({ mode: "production" })).message).toMatch(/--auth-secret/)
    expect((await failure({ mode: "production", authSecret: "short" })).message).not.toContain("short")
  })

  it("take secrets from files, and say which one can't be read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "parley-settings-"))
    const file = join(folder, "secret")
    const secret = "s".repeat(40)
    writeFileSync(file, `${secret}\n`)
    const read = (environment: Record<string, string>) => readSettings({ environment })
    const { authSecret } = await Effect.runPromise(read({ PARLEY_AUTH_SECRET_FILE: file }))
    expect(Redacted.value(authSecret)).toBe(secret)
    rmSync(folder, { recursive: true })
    const failed = await Effect.runPromise(Effect.flip(read({ PARLEY_AUTH_SECRET_FILE: file })))
    expect(failed.message).toMatch(/PARLEY_AUTH_SECRET_FILE is ".*": it can't be read/)
    // Of what is no secret a file is no source.
    expect((await Effect.runPromise(read({ PARLEY_MODE: "development", PARLEY_HOST_FILE: file }))).host).toBe(
      "127.0.0.1"
    )
  })

  it("of a cluster are all there, or the first that is missing is named", async () => {
    const whole = {
      cluster: "chat-1",
      nats: "a:4222,tls://b:4222",
      "nats-system-user": "sys",
      "nats-system-password": "of sys",
      cassandra: "c:9042",
      redis: "rediss://r:6379"
    }
    const read = await Effect.runPromise(readSettings({ flags: { ...development, ...whole } }))
    expect([read.cluster, read.nats, read.logStreams]).toEqual(["chat-1", ["a:4222", "tls://b:4222"], 4])
    for (const name of ["nats", "cassandra", "redis", "nats-system-user"]) {
      expect((await failure({ ...whole, [name]: "" })).message).toContain(`--${name} is`)
    }
    expect((await failure({ ...whole, cluster: "a.b" })).message).toContain("--cluster")
    // Each would have users and channels of its own, and the kernel would choose between them.
    expect((await failure({ sharePort: "true" })).message).toMatch(/--share-port.*only nodes of one cluster/)
    expect((await failure({ ...whole, shards: "1025" })).message).toContain("at most 1024 shards")
    expect((await failure({ ...whole, "log-replicas": "1" })).message).toContain("--unsafe-log")
    for (const name of ["redis", "nats"]) {
      const { message } = await failure({ ...whole, [name]: `x:1,${name}://user:s3cret@r:6379` })
      expect(message).toContain(`${name}://(hidden)@r:6379`)
      expect(message).not.toContain("s3cret")
    }
  })

  it("of a cluster's logins and certificates are whole: a half is named, and no password with it", async () => {
    const whole = {
      cluster: "chat",
      nats: "a:4222",
      "nats-system-nkey-seed": "/s",
      cassandra: "c:9042",
      redis: "redis://r:6379"
    }
    const wrong: ReadonlyArray<readonly [flags: Record<string, string>, named: string]> = [
      [{ "nats-cert": "/c" }, "--nats-key"],
      [{ "nats-key": "/k" }, "--nats-cert"],
      [{ "nats-user": "u", "nats-password": "s3cret", "nats-nkey-seed": "/s" }, "--nats-nkey-seed"],
      [{ "nats-password": "s3cret" }, "--nats-user"],
      [{ "nats-user": "u" }, "--nats-password"],
      [{ "nats-system-user": "u", "nats-system-password": "s3cret" }, "--nats-system-nkey-seed"],
      [{ "cassandra-user": "u" }, "--cassandra-password"],
      [{ "cassandra-cert": "/c", "cassandra-key": "/k" }, "--cassandra-ca"],
      [{ "redis-cert": "/c", redis: "rediss://r:6379" }, "--redis-key"],
      [{ "redis-cert": "/c", "redis-key": "/k" }, "--redis is"],
      [{ "redis-user": "u" }, "--redis-password"],
      [{ "redis-sentinel-password": "s3cret" }, "--redis-sentinel"]
    ]
    for (const [flags, named] of wrong) {
      const { message } = await failure({ ...whole, ...flags })
      expect(message).toContain(named)
      expect(message).not.toContain("s3cret")
    }
    await Effect.runPromise(
      readSettings({ flags: { ...development, ...whole, "redis-password": "of the default user" } })
    )
  })

  it("of an edge that has no shards name neither Redis nor the system's user", async () => {
    const edge = { cluster: "chat", roles: "edge", nats: "a:4222", cassandra: "c:9042" }
    await Effect.runPromise(readSettings({ flags: { ...development, ...edge } }))
    expect((await failure({ ...edge, roles: "edge,runner" })).message).toContain("--redis")
  })

  it("of a worker name Redis and not the system's user, and a worker without shards is no edge", async () => {
    const worker = { cluster: "chat", roles: "worker", nats: "a:4222", cassandra: "c:9042", redis: "redis://r:6379" }
    await Effect.runPromise(readSettings({ flags: { ...development, ...worker } }))
    expect((await failure({ ...worker, redis: "" })).message).toContain("--redis")
    expect((await failure({ ...worker, roles: "edge,worker" })).message).toContain("a process of its own")
    expect((await failure({ ...worker, roles: "runner,worker" })).message).toContain("--nats-system-user")
  })

  it("that are secret show nothing, however they are printed", async () => {
    const environment = {
      PARLEY_MODE: "development",
      PARLEY_AUTH_SECRET: "s3cret-".repeat(8),
      PARLEY_REDIS_PASSWORD: "s3cret"
    }
    const read = await Effect.runPromise(readSettings({ environment }))
    expect(JSON.stringify(read) + inspect(read, { depth: 9 }) + String(read.authSecret)).not.toContain("s3cret")
  })

  it("take keys of tokens over no connection that somebody else may be on", async () => {
    for (const authJwks of [
      "http://login.example.com/keys",
      "http://127.0.0.1.example.com/keys",
      "http://[::2]/keys"
    ]) {
      expect((await failure({ authJwks })).message).toMatch(/--auth-jwks/)
    }
    for (const authJwks of ["https://login.example.com/keys", "http://127.0.0.1:9000/keys", "http://[::1]/keys"]) {
      const read = await Effect.runPromise(readSettings({ flags: { ...development, authJwks } }))
      expect(read.authJwks).toBe(authJwks)
    }
  })

  it("are all in the table, each with a sentence and a name of its own", () => {
    expect(new Set(settingsTable.map((row) => row.environment)).size).toBe(settingsTable.length)
    for (const row of settingsTable) expect(row.sentence).toMatch(/^[A-Z].*\.$/)
    expect([environmentName("apiKeyHashes"), flagName("apiKeyHashes")]).toEqual([
      "PARLEY_API_KEY_HASHES",
      "--api-key-hashes"
    ])
  })
})
