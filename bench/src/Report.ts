/** The last line of each bench: one JSON object. And the few sums that several benches need. */
import { cpus, loadavg } from "node:os"
import { small } from "./Sizes.ts"

export interface Result {
  readonly bench: string
  readonly value: number
  readonly unit: string
  readonly baseline: number
  readonly ratio: number
  readonly target: string
  readonly pass: boolean
  readonly [more: string]: unknown
}

/** The load of the last minute above which other work than the bench's two processes disturbed it. */
const quietLoadMax = 2.5

export const report = (result: Result): void => {
  const [load = 0] = loadavg()
  const circumstances = {
    ...(small ? { small: true } : {}),
    node: process.version,
    cpus: cpus().length,
    load_1m: round(load),
    ...(load > quietLoadMax ? { busy_machine: true } : {})
  }
  process.stdout.write(`${JSON.stringify({ ...result, ...circumstances })}\n`)
}

/** A line for the person who watches; never the last one. */
export const say = (text: string): void => void process.stdout.write(`${text}\n`)

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))

export const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

export const ascending = (values: ReadonlyArray<number>): Array<number> => values.toSorted((a, b) => a - b)

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until `done`, looked at often; false when the time is over. */
export const until = async (done: () => boolean, msMax: number): Promise<boolean> => {
  for (const end = performance.now() + msMax; performance.now() < end;) {
    if (done()) return true
    await pause(10)
  }
  return done()
}
