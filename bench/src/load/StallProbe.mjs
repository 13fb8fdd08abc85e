/**
 * Preloaded into the server under test (`node --import`): how late its event loop was, measured in that loop itself by a
 * timer, not from outside where the network and the generator would be in it. Each stall above a few ms is appended to
 * the file that BENCH_STALLS names, as "time lateness".
 */
import { appendFileSync } from "node:fs"
import { isMainThread } from "node:worker_threads"

const file = process.env["BENCH_STALLS"]
const tickMs = 10
const worthMs = 20

if (isMainThread && file !== undefined) {
  let last = performance.now()
  setInterval(() => {
    const now = performance.now()
    const late = now - last - tickMs
    last = now
    if (late >= worthMs) appendFileSync(file, `${Date.now()} ${late.toFixed(1)}\n`)
  }, tickMs).unref()
}
