import { assert, describe, it } from "@effect/vitest"
import { factsOf, older, reportOf, type ServerFacts } from "../../src/jetstream/ServerCheck.ts"

const server = (name: string, facts: Partial<ServerFacts> = {}): ServerFacts => ({
  name,
  version: "2.15.1",
  maxPayload: 1_048_576,
  syncAlways: true,
  peers: ["n1", "n2", "n3"],
  ...facts
})

const report = (servers: ReadonlyArray<ServerFacts>) => reportOf(servers, 1_000_256)

describe("what the servers say of themselves", () => {
  it("is good where all of the cluster answer and sync", () =>
    assert.deepStrictEqual(report([server("n1"), server("n2"), server("n3")]), {
      faults: [],
      silent: [],
      synced: ["n1", "n2", "n3"]
    }))

  it("names who does not answer, does not sync, takes too little, or is too old", () => {
    const { faults, silent, synced } = report([
      server("n1", { syncAlways: false }),
      server("n2", { version: "2.14.9", maxPayload: 65_536 })
    ])
    assert.deepStrictEqual(silent, ["n3"])
    assert.deepStrictEqual(synced, ["n2"])
    assert.match(
      faults.join("\n"),
      /n1 acknowledges before it syncs[^]*n2 takes messages of 65536 bytes[^]*n2 runs nats-server 2\.14\.9/
    )
  })

  it("asks nothing of a server without JetStream, but one must have it", () => {
    const without = server("leaf", { syncAlways: undefined, version: "2.9.0", peers: [] })
    assert.deepStrictEqual(report([without, server("n1", { peers: [] })]).faults, [])
    assert.lengthOf(report([without]).faults, 1)
  })

  it("is read from the answer's fields, and nothing of it is taken for good when missing", () => {
    const jetstream = {
      config: { sync_interval: 1, sync_always: true },
      meta: { leader: "n2", replicas: [{ name: "n3" }] }
    }
    assert.deepStrictEqual(
      factsOf({ server: { name: "n1", ver: "2.15.1" }, data: { version: "2.15.1", max_payload: 9, jetstream } }),
      {
        name: "n1",
        version: "2.15.1",
        maxPayload: 9,
        syncAlways: true,
        peers: ["n2", "n3"]
      }
    )
    assert.isFalse(factsOf({ server: { name: "n1" }, data: { jetstream: { config: {} } } }).syncAlways)
    assert.isTrue(older(factsOf({}).version, "2.15.1"))
  })

  it("compares versions by their numbers", () => {
    for (const [version, isOlder] of [
      ["2.15.1", false],
      ["2.15.10", false],
      ["2.16.0", false],
      ["3.0.0", false],
      ["2.15.1-dev", false],
      ["2.15.0", true],
      ["2.9.25", true],
      ["1.99.99", true],
      ["unknown", true]
    ] as const) {
      assert.strictEqual(older(version, "2.15.1"), isOlder, version)
    }
  })
})
