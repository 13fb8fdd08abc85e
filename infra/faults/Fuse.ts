/** Whether this machine can mount a file system of a test's own, after installing what is missing if it may (`test-setup.sh`). */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const msMax = 300_000

/** Sets `PARLEY_FUSE` and `PARLEY_PYTHON` for this program and those that it starts; says why not, once. */
export const prepareFuse = (): string | undefined => {
  if (process.env["PARLEY_FUSE"] !== undefined) return undefined
  const script = join(import.meta.dirname, "../test-setup.sh")
  const { error, status, stderr, stdout } = spawnSync("bash", [script], { encoding: "utf8", timeout: msMax })
  const python = stdout?.trim().split("\n").at(-1)
  if (status === 0 && python !== undefined) {
    process.env["PARLEY_FUSE"] = "1"
    process.env["PARLEY_PYTHON"] = python
    return undefined
  }
  process.env["PARLEY_FUSE"] = "0"
  return stderr?.trim().split("\n").at(-1) ?? error?.message ?? "no reason given"
}
