/**
 * Many runs side by side, a process each: what to run, how far, and what came of it. Each line that a worker prints is one
 * run; a worker that dies or hangs is a finding of its seed as well.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Found } from "./LogTruth.ts"

const worker = fileURLToPath(new URL("worker.ts", import.meta.url))

/** A run is a burst of young objects, and there is a process a core. */
const workerFlags = ["--max-semi-space-size=64", "--single-threaded-gc"]

export interface Run {
  readonly seed: number
  readonly found: ReadonlyArray<Found>
  readonly acked: number
  readonly tasks: number
  readonly simulatedMs: number
  readonly hash: string
  readonly notes: ReadonlyArray<string>
}

export interface Batch {
  readonly from: number
  readonly count: number
  readonly mutant?: string
  /** Of real time; past it the seed that is under way counts as found. */
  readonly msMax: number
  /** Of each run as it is over. */
  readonly onRun?: (run: Run) => void
}

/** Runs the seeds of a batch in a process of their own; a mutant's ends with the first seed that finds it. */
export const runBatch = ({ count, from, msMax, mutant, onRun = () => {} }: Batch): Promise<ReadonlyArray<Run>> =>
  new Promise((resolve) => {
    const runs: Array<Run> = []
    const add = (run: Run) => {
      runs.push(run)
      onRun(run)
    }
    let [rest, errors, late] = ["", "", false]
    const env = { ...process.env, ...(mutant === undefined ? {} : { PARLEY_SIM_MUTANT: mutant }) }
    const child = spawn(process.execPath, [...workerFlags, worker, String(from), String(count)], { env })
    const timer = setTimeout(() => {
      late = true
      child.kill("SIGKILL")
    }, msMax)
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      // as: what the worker prints
      for (const line of lines) add(JSON.parse(line) as Run)
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors = (errors + text).slice(-2_000)))
    child.on("close", (code) => {
      clearTimeout(timer)
      const ended = runs.length === count || (mutant !== undefined && (runs.at(-1)?.found.length ?? 0) > 0)
      if (!ended) {
        const what = late ? `no end within ${msMax} ms` : `the process ended with ${code}: ${errors}`
        const seed = from + runs.length
        add({
          seed,
          found: [{ invariant: "ENDS", what }],
          acked: 0,
          tasks: 0,
          simulatedMs: 0,
          hash: "",
          notes: []
        })
      }
      resolve(runs)
    })
  })

/** Takes jobs in order, so many at a time. */
export const sideBySide = async <A>(
  jobs: ReadonlyArray<() => Promise<A>>,
  atOnce: number
): Promise<ReadonlyArray<A>> => {
  const results: Array<A> = []
  let next = 0
  const lane = async () => {
    for (let at = next++; at < jobs.length; at = next++) {
      const job = jobs[at]
      if (job !== undefined) results[at] = await job()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return results
}

/** Findings shown of each promise. */
const shownMax = 4

export const report = ({ found, notes, seed }: Run): string =>
  [
    `seed ${seed}: npm run test:simulator -- --from ${seed} --count 1`,
    ...[...Map.groupBy(found, ({ invariant }) => invariant)].flatMap(([invariant, all]) => [
      `  ${invariant}: ${all.length}`,
      ...all.slice(0, shownMax).map(({ what }) => `    ${what}`)
    ]),
    ...notes.map((note) => `  · ${note}`)
  ].join("\n")
