/**
 * A process of its own for simulated runs, since Node's timers and clocks are replaced in it: `worker.ts FROM COUNT` runs
 * the seeds and prints a line of JSON for each. With `PARLEY_SIM_MUTANT` a broken build, which ends with the first seed
 * that finds it; with `PARLEY_SIM_WORD` the notes have what devices last heard of a channel. The mutant's patch and the virtual clock come before what is tested.
 */
import { applyMutant } from "./SourcePatch.ts"
import { install, real, virtualTime } from "./VirtualTime.ts"

const [from = "1", count = "1"] = process.argv.slice(2)
const mutant = process.env["PARLEY_SIM_MUTANT"]
applyMutant(mutant)
install()
process.on("unhandledRejection", (error) => virtualTime().onUncaught(error, virtualTime().current))
const { simulate } = await import("./Simulation.ts")
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const began = real.now()
  const result = await simulate({ seed, calm: process.env["PARLEY_SIM_CALM"] === "1" })
  process.stdout.write(`${JSON.stringify({ ...result, ms: Math.round(real.now() - began) })}\n`)
  if (mutant !== undefined && result.found.length > 0) break
}
