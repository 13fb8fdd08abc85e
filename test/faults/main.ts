/**
 * `npm run test:faults -- [--list] [--only NAME,…] [--short] [--times N] [--report FILE]`: faults under load on a cluster of
 * three nodes, three NATS servers, Cassandra and Redis, one after the other; each run is checked. Each node and server has
 * a network namespace of its own where the machine makes them. What a machine can't do is listed as not run, and says why.
 * Ends with 1 where a promise was broken or a broken build was not caught.
 */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { prepareFuse } from "../../infra/faults/Fuse.ts"
import { isInside, PrivateNetwork, runInside, whyNoNetwork } from "../../infra/faults/PrivateNetwork.ts"
import { installServices } from "../../infra/services/Services.ts"
import { noFuse } from "../harness/LossyMount.ts"
import { Random } from "../harness/Random.ts"
import { type Fault, type FaultResult, type Need, runFault } from "./FaultRun.ts"
import { faultEnvironment, faults } from "./Faults.ts"
import { reportOf } from "./Report.ts"
import { Stage } from "./Stage.ts"

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const print = (line: string): void => void process.stdout.write(`${line}\n`)
/** Why there is no network inside, told by the program outside. */
const whyVariable = "PARLEY_FAULTS_NO_NETWORK"
const timesMax = 100
const refusalsShown = 5

const options = {
  list: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  short: { type: "boolean", default: false },
  times: { type: "string", default: "1" },
  report: { type: "string", default: "" }
} as const

const main = async (): Promise<number> => {
  const { values } = parseArgs({ options })
  if (values.list) {
    for (const { about, name, short } of faults) print(`${name.padEnd(28)} ${short ? "short" : "long "}  ${about}`)
    return 0
  }
  const times = Number(values.times)
  const wanted = values.only.split(",").filter((name) => name !== "")
  const unknown = wanted.find((name) => !faults.some((fault) => fault.name === name))
  if (unknown !== undefined || !Number.isInteger(times) || times < 1 || times > timesMax) {
    say(unknown === undefined ? `--times is 1 to ${timesMax}.` : `There is no fault "${unknown}": --list names them.`)
    return 2
  }
  if (!isInside() && process.env[whyVariable] === undefined) return goInside()
  const chosen = faults.filter(({ name, short }) =>
    wanted.length > 0 ? wanted.includes(name) : !values.short || short
  )
  // After each, so that a run which is cut short leaves what it had.
  const report = (done: ReadonlyArray<FaultResult>): void => {
    if (values.report !== "") writeFileSync(values.report, reportOf(done))
  }
  const results = await runAll(chosen, times, report)
  return results.every(({ sound }) => sound) ? Number(process.exitCode ?? 0) : 1
}

/** What has to be fetched is fetched outside: inside there is no way out. */
const goInside = async (): Promise<number> => {
  await installServices(say)
  const noFuse = prepareFuse()
  if (noFuse !== undefined) say(`Faults that need FUSE are not run: ${noFuse}`)
  const why = whyNoNetwork()
  if (why === undefined) return runInside(process.argv.slice(1))
  say(`Faults of the network are not run: ${why}`)
  process.env[whyVariable] = why
  return main()
}

const runAll = async (
  chosen: ReadonlyArray<Fault>,
  times: number,
  report: (done: ReadonlyArray<FaultResult>) => void
): Promise<ReadonlyArray<FaultResult>> => {
  const network = isInside() ? PrivateNetwork.make() : undefined
  const results: Array<FaultResult> = []
  await using stage = new Stage({ environment: faultEnvironment, network, say })
  for (const fault of chosen) {
    const why = fault.needs?.map(whyNot).find((reason) => reason !== undefined)
    if (why !== undefined) {
      print(JSON.stringify({ fault: fault.name, notRun: why }))
      continue
    }
    for (let round = 0; round < times; round++) {
      const random = Random.fromEnvironment()
      const run = (cluster: Awaited<ReturnType<Stage["shared"]>>) => runFault(cluster, fault, random, network)
      const result = await (fault.own === undefined ? run(await stage.shared()) : stage.withOwn(fault.own, run)).catch(
        (error: unknown) => failedResult(fault, random, error)
      )
      results.push(result)
      report(results)
      print(JSON.stringify(result.sound ? { ...result, report: undefined } : result))
      if (!result.sound) say(result.report)
    }
  }
  const { refusals } = stage
  print(JSON.stringify({ permissions: refusals.length === 0 ? "enough" : refusals.slice(0, refusalsShown) }))
  if (refusals.length > 0) process.exitCode = 1
  return results
}

/** The run itself did not get to its end: that is as bad as a broken promise. */
const failedResult = (fault: Fault, random: Random, error: unknown): FaultResult => ({
  fault: fault.name,
  seed: random.seed,
  seconds: 0,
  acked: 0,
  violations: {},
  longestPauseMs: 0,
  recoveryMs: undefined,
  notes: [`not run to its end: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`],
  sound: false,
  caught: false,
  report: error instanceof Error ? (error.stack ?? error.message) : String(error)
})

/** Why the machine can't; undefined: it can. */
const whyNot = (need: Need): string | undefined => {
  if (need === "network") return process.env[whyVariable]
  if (need === "fuse") return noFuse()
  const { status, stderr } = spawnSync("unshare", ["--mount", "--", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], {
    encoding: "utf8"
  })
  return status === 0 ? undefined : `a small disk can't be mounted (${(stderr ?? "no unshare").trim()})`
}

process.exit(await main())
