/** What the disk itself can do: append 4 kB, fdatasync, again. Printed beside every figure that waits for it. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { ascending, percentile, round } from "./Report.ts"

const syncs = 200

export const diskSync = (directory: string) => {
  const file = join(directory, "fdatasync.probe")
  const fd = openSync(file, "w")
  const times: Array<number> = []
  for (let i = 0; i < syncs; i++) {
    writeSync(fd, Buffer.alloc(4_096, i))
    const at = performance.now()
    fdatasyncSync(fd)
    times.push(performance.now() - at)
  }
  closeSync(fd)
  rmSync(file)
  const sorted = ascending(times)
  return { p50_ms: round(percentile(sorted, 0.5), 2), p99_ms: round(percentile(sorted, 0.99), 2) }
}
