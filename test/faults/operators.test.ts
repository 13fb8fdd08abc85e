/** What operators see of a cluster of real processes and services, and what they have it do. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, it } from "vitest"
import { type LocalCluster, startCluster } from "../../infra/cluster/LocalNodes.ts"
import { faultEnvironment } from "./Faults.ts"
import { operatorLooks } from "./Operators.ts"

const startMsMax = 400_000
const lookMsMax = 300_000

describe("a cluster shows itself to operators and does what they ask", () => {
  const data = mkdtempSync(join(tmpdir(), "parley-operators-"))
  let cluster: LocalCluster | undefined
  beforeAll(async () => {
    cluster = await startCluster({ data, count: 3, port: 0, environment: faultEnvironment })
  }, startMsMax)
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
    rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  }, startMsMax)

  for (const { look, name } of operatorLooks) {
    it(name, { timeout: lookMsMax }, async () => {
      if (cluster === undefined) throw new Error("the cluster did not start")
      await look(cluster)
    })
  }
})
