/**
 * Runs once before the tests. Sets `PARLEY_FUSE=1` and `PARLEY_PYTHON` where the machine can mount a file system of a
 * test's own, after installing what is missing if it may (`test-setup.sh`). Elsewhere it says why not in one line;
 * the tests that need it are then skipped and listed as not run. `PARLEY_FUSE=0` leaves the machine alone.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

export const setup = (): void => {
  if (process.env["PARLEY_FUSE"] !== undefined) return
  const script = join(import.meta.dirname, "test-setup.sh")
  const { error, status, stderr, stdout } = spawnSync("bash", [script], { encoding: "utf8", timeout: 300_000 })
  const python = stdout?.trim().split("\n").at(-1)
  if (status === 0 && python !== undefined) {
    process.env["PARLEY_FUSE"] = "1"
    process.env["PARLEY_PYTHON"] = python
    return
  }
  process.env["PARLEY_FUSE"] = "0"
  const reason = stderr?.trim().split("\n").at(-1) ?? error?.message ?? "no reason given"
  console.log(`Tests that need FUSE are not run: ${reason}`)
}
