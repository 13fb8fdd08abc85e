/**
 * Loaded into each node before its own code: at SIGUSR2 it does what `tampering.json` in the node's directory says. The
 * event loop stands still, or every clock reading is another: what a test can't do to a process from outside.
 */
import { readFileSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { LocalCluster } from "../../infra/cluster/LocalNodes.ts"

export interface Tampering {
  /** The event loop stands still for so long, in ms. */
  readonly stallMs?: number
  /** The wall clock is so far ahead of the machine's from now on, in ms; the monotonic clock is as ever. */
  readonly clockMs?: number
}

const file = (data: string): string => join(data, "tampering.json")
export const tamperingFlags: ReadonlyArray<string> = ["--import", import.meta.url]

/** From the test. */
export const tamper = (cluster: LocalCluster, index: number, what: Tampering): void => {
  writeFileSync(file(join(cluster.place(index).log, "..")), JSON.stringify(what))
  cluster.signalNode(index, "SIGUSR2")
}

const realNow = Date.now
let aheadMs = 0

/** `Date` as the product uses it: `Date.now()` and `new Date()`. */
const shiftClock = (): void => {
  Date.now = () => realNow() + aheadMs
  const Real = Date
  globalThis.Date = new Proxy(Real, {
    construct: (target, args) => Reflect.construct(target, args.length === 0 ? [realNow() + aheadMs] : args)
  })
}

const stall = (ms: number): void => {
  writeSync(1, `the event loop stands still for ${ms} ms\n`)
  for (const until = performance.now() + ms; performance.now() < until;);
}

const data = process.env["PARLEY_DATA"]
if (data !== undefined) {
  shiftClock()
  process.on("SIGUSR2", () => {
    // as: what `tamper` wrote
    const { clockMs, stallMs } = JSON.parse(readFileSync(file(data), "utf8")) as Tampering
    if (clockMs !== undefined) {
      aheadMs = clockMs
      writeSync(1, `the clock is ${clockMs} ms ahead\n`)
    }
    if (stallMs !== undefined) stall(stallMs)
  })
}
