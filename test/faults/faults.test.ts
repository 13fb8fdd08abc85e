/**
 * The short set of faults on a cluster of real processes and services: three nodes, three NATS servers, Cassandra, Redis.
 * `npm run test:faults` has the long one, and a report.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type LocalCluster, startCluster } from "../../infra/cluster/LocalNodes.ts"
import { Random } from "../harness/Random.ts"
import { runFault } from "./FaultRun.ts"
import { faultEnvironment, faults } from "./Faults.ts"
import { operatorLooks } from "./Operators.ts"

const startMsMax = 400_000
const faultMsMax = 300_000

describe("a cluster keeps its promises", () => {
  const data = mkdtempSync(join(tmpdir(), "parley-cluster-"))
  let cluster: LocalCluster | undefined
  beforeAll(async () => {
    cluster = await startCluster({ data, count: 3, port: 0, environment: faultEnvironment })
  }, startMsMax)
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
    rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  }, startMsMax)

  for (const { look, name } of operatorLooks) {
    it(`for operators: ${name}`, { timeout: faultMsMax }, async () => {
      if (cluster === undefined) throw new Error("the cluster did not start")
      await look(cluster)
    })
  }

  for (const fault of faults.filter(({ short }) => short)) {
    it(`${fault.name}: ${fault.about}`, { timeout: faultMsMax }, async () => {
      if (cluster === undefined) throw new Error("the cluster did not start")
      const result = await runFault(cluster, fault, Random.fromEnvironment())
      expect(result.sound ? "sound" : `${result.notes.join("; ")}\n${result.report}`).toBe("sound")
    })
  }

  it("no node tries what its user at NATS may not do, with or without a fault", () => {
    const servers = cluster?.services.state.nodes.filter(({ service }) => service === "nats") ?? []
    expect(servers).toHaveLength(3)
    for (const { launch } of servers) expect(readFileSync(launch.log, "utf8")).not.toMatch(/violation/i)
  })
})
