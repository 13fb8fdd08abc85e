/**
 * `npm run test:simulator -- [--from SEED] [--count RUNS]`: simulated runs, as many at a time as there are cores. Prints
 * what was found with its seed, which plays it again, and fails if anything was.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { report, type Run, runBatch, sideBySide } from "./Campaign.ts"

const print = (line: string) => void process.stdout.write(`${line}\n`)
const { values } = parseArgs({
  options: { from: { type: "string", default: "1" }, count: { type: "string", default: "1000" } }
})
const [from, count] = [Number(values.from), Number(values.count)]
const cores = availableParallelism()
/** Seeds of one process, which takes half the time for each once it is warm. */
const batchSeeds = Math.min(500, Math.ceil(count / cores))
/** Real time of one batch, on a slow machine; one seed alone has that of fifty. */
const batchMsMax = Math.max(50, batchSeeds) * 6_000

const began = performance.now()
let [runs, acked, simulatedMs, failed] = [0, 0, 0, 0]
const take = (run: Run): void => {
  runs++
  acked += run.acked
  simulatedMs += run.simulatedMs
  if (run.found.length === 0) return
  failed++
  print(report(run))
}
const jobs = Array.from({ length: Math.ceil(count / batchSeeds) }, (_, at) => async () => {
  const first = from + at * batchSeeds
  const batch = { from: first, count: Math.min(batchSeeds, from + count - first), msMax: batchMsMax, onRun: take }
  await runBatch(batch)
})
await sideBySide(jobs, cores)
const minutes = (performance.now() - began) / 60_000
print(
  `${runs} runs from seed ${from}, ${acked} acknowledged changes, ${(simulatedMs / 3_600_000).toFixed(1)} simulated hours in ${minutes.toFixed(1)} minutes (${(runs / minutes).toFixed(0)} runs a minute): ${failed} found something`
)
process.exitCode = failed === 0 ? 0 : 1
