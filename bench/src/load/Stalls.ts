/** What StallProbe wrote. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

export const stallFlags = ["--import", join(import.meta.dirname, "StallProbe.mjs")]

/** The worst stall since a time, in ms; 0 where there was none worth noting. */
export const readStalls = (file: string, from: number): number => {
  if (!existsSync(file)) return 0
  let worst = 0
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    const [at = 0, late = 0] = line.split(" ").map(Number)
    if (at >= from) worst = Math.max(worst, late)
  }
  return worst
}
