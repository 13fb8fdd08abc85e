/**
 * `npm run test:faults -- [--list] [--only NAME] [--short] [--report FILE]`: faults under load on a cluster of three nodes,
 * three NATS servers, Cassandra and Redis, one after the other on the same cluster; each run is checked. Ends with 1
 * where a promise was broken.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { startCluster } from "../../infra/cluster/LocalNodes.ts"
import { Random } from "../harness/Random.ts"
import { type FaultResult, runFault } from "./FaultRun.ts"
import { faultEnvironment, faults } from "./Faults.ts"
import { reportOf } from "./Report.ts"

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const print = (line: string): void => void process.stdout.write(`${line}\n`)

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      list: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      short: { type: "boolean", default: false },
      report: { type: "string", default: "" }
    }
  })
  if (values.list) {
    for (const { about, name, short } of faults) print(`${name.padEnd(20)} ${short ? "short" : "long "}  ${about}`)
    return 0
  }
  const wanted = values.only.split(",").filter((name) => name !== "")
  const unknown = wanted.find((name) => !faults.some((fault) => fault.name === name))
  if (unknown !== undefined) {
    say(`There is no fault "${unknown}": --list names them.`)
    return 2
  }
  const chosen = faults.filter(({ name, short }) =>
    wanted.length > 0 ? wanted.includes(name) : !values.short || short
  )
  const data = mkdtempSync(join(tmpdir(), "parley-faults-"))
  const results: Array<FaultResult> = []
  try {
    await using cluster = await startCluster({ data, count: 3, port: 0, environment: faultEnvironment, say })
    for (const fault of chosen) {
      const result = await runFault(cluster, fault, Random.fromEnvironment())
      results.push(result)
      print(JSON.stringify({ ...result, report: undefined }))
      if (!result.sound) print(result.report)
    }
  } finally {
    rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  }
  if (values.report !== "") writeFileSync(values.report, reportOf(results))
  return results.every(({ sound }) => sound) ? 0 : 1
}

process.exit(await main())
