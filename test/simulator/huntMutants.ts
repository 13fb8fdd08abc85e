/**
 * `npm run test:mutants -- [--only NAME]`: each broken build over seeds until it is found, or its bound is reached, which
 * fails. Prints a table.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { runBatch, sideBySide } from "./Campaign.ts"
import { mutants } from "./Mutants.ts"

const print = (line: string) => void process.stdout.write(`${line}\n`)
const { values } = parseArgs({ options: { only: { type: "string" } } })
/** Real time of one mutant; one that hangs is found. */
const mutantMsMax = 900_000

const chosen = mutants.filter(({ name }) => values.only === undefined || name === values.only)
if (chosen.length === 0) throw new Error(`there is no mutant ${values.only}`)
print("| mutant | rule | seeds until found | bound | what was found |\n|---|---|---|---|---|")
const survivors = await sideBySide(
  chosen.map(({ name, rule, seedsMax }) => async () => {
    const runs = await runBatch({ from: 1, count: seedsMax, mutant: name, msMax: mutantMsMax })
    const [first] = runs.at(-1)?.found ?? []
    const what = first === undefined ? "" : `${first.invariant}: ${first.what.split("\n")[0]?.slice(0, 100)}`
    print(`| ${name} | ${rule} | ${first === undefined ? "survived" : runs.length} | ${seedsMax} | ${what} |`)
    return first === undefined ? [name] : []
  }),
  availableParallelism()
)
const all = survivors.flat()
print(all.length === 0 ? `${chosen.length} mutants, all found` : `survived: ${all.join(", ")}`)
process.exitCode = all.length === 0 ? 0 : 1
