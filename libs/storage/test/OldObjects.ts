/** How much of what a test did V8 has among its old objects, where only a full collection frees it. */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
// Reason for `as`: it is V8's own, which the flag puts into new contexts.
const collect = runInNewContext("gc") as (options?: { readonly type: "minor" }) => void

export const collectYoung = (): void => collect({ type: "minor" })

const oldBytes = (): number =>
  getHeapSpaceStatistics()
    .filter(({ space_name }) => !space_name.includes("new"))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)

/** Bytes that have become old since then; what is young and of no use any more is collected first. */
export const oldSince = (): (() => number) => {
  collect()
  const before = oldBytes()
  return () => {
    // What lives through two of them is old.
    collectYoung()
    collectYoung()
    return oldBytes() - before
  }
}
