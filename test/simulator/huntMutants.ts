/**
 * `npm run test:mutants -- [--only NAME] [--seconds EACH] [--report FILE]`: each broken build over seeds until it is found, or
 * its bound is reached, which fails; so does one for which the time is not enough. Prints a table; `--report` writes it to
 * a file as well, which is how MUTANTS.md is made.
 */
import { writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { runBatch, sideBySide } from "./Campaign.ts"
import { type Mutant, mutants } from "./Mutants.ts"

const print = (line: string) => void process.stdout.write(`${line}\n`)
const { values } = parseArgs({
  options: { only: { type: "string" }, report: { type: "string" }, seconds: { type: "string", default: "1800" } }
})
/** Real time of one mutant. */
const mutantMsMax = Number(values.seconds) * 1_000
const whatCharsMax = 100

const chosen = mutants.filter(({ name }) => values.only === undefined || name === values.only)
if (chosen.length === 0) throw new Error(`there is no mutant ${values.only}`)

/** The first line of what was found; undefined: it survived. */
const hunt = async ({ name, rule, seedsMax }: Mutant) => {
  const runs = await runBatch({ from: 1, count: seedsMax, mutant: name, msMax: mutantMsMax })
  // Where the time was over, or the patch does not fit any more, nothing was found: the last run did not end by itself.
  const [first] = (runs.at(-1)?.found ?? []).filter(({ invariant }) => invariant !== "ENDS")
  const what = first === undefined ? "" : `${first.invariant}: ${first.what.split("\n")[0]?.slice(0, whatCharsMax)}`
  const row = `| ${name} | ${rule} | ${first === undefined ? `survived ${runs.length}` : runs.length} | ${seedsMax} | ${what.replaceAll("|", "¦")} |`
  print(row)
  return { name, rule, row, runs: runs.length, survived: first === undefined }
}

type Hunted = Awaited<ReturnType<typeof hunt>>

const head = ["| mutant | rule | seeds until found | bound | what was found |", "|---|---|---|---|---|"]
const began = performance.now()
const summaryOf = (hunted: ReadonlyArray<Hunted>): string => {
  const minutes = (performance.now() - began) / 60_000
  const runs = hunted.reduce((sum, one) => sum + one.runs, 0)
  const found = hunted.filter(({ survived }) => !survived)
  const survivors = hunted.filter(({ survived }) => survived).map(({ name }) => name)
  const rules = new Set(found.map(({ rule }) => rule).filter((rule) => rule.startsWith("†")))
  return [
    `${found.length} of ${chosen.length} mutants found`,
    ...(survivors.length === 0 ? [] : [`survived: ${survivors.join(", ")}`]),
    `${rules.size} numbered rules`,
    `${runs} runs in ${minutes.toFixed(1)} minutes (${(runs / minutes).toFixed(0)} runs a minute, ${availableParallelism()} cores)`
  ].join("; ")
}

const title = [
  "<!-- Made by `npm run test:mutants -- --report FILE`: run that, do not change this. -->",
  "",
  "# Mutants",
  ""
]
/** After each, so that a run which is cut short leaves what it had. */
const report = (hunted: ReadonlyArray<Hunted>): void => {
  if (values.report === undefined) return
  const lines = [...title, `${summaryOf(hunted)}.`, "", ...head, ...hunted.map(({ row }) => row), ""]
  writeFileSync(values.report, lines.join("\n"))
}

for (const line of head) print(line)
const soFar: Array<Hunted> = []
await sideBySide(
  chosen.map((mutant) => async () => {
    soFar.push(await hunt(mutant))
    report(soFar)
  }),
  availableParallelism()
)
print(summaryOf(soFar))
process.exitCode = soFar.some(({ survived }) => survived) ? 1 : 0
