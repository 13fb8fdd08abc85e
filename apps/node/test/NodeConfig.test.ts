/** Settings: where they come from, and what is said about one that makes no sense. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
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
