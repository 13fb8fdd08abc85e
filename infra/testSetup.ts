/**
 * Runs once before the tests of each project. Starts the services that the run's test files ask for
 * (`services/TestServices`), and ends them afterwards.
 *
 * Sets `PARLEY_FUSE=1` and `PARLEY_PYTHON` where the machine can mount a file system of a
 * test's own, after installing what is missing if it may (`test-setup.sh`). Elsewhere it says why not in one line;
 * the tests that need it are then skipped and listed as not run. `PARLEY_FUSE=0` leaves the machine alone.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { startTestServices } from "./services/TestServices.ts"

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  prepareFuse()
  const services = await startTestServices(join(import.meta.dirname, ".."), await filesOfRun(project))
  return () => services.stop()
}

/** The project's test files that this run was asked for. */
const filesOfRun = async (project: TestProject): Promise<ReadonlyArray<string>> => {
  // Vitest keeps the command line's filters there, outside of what its types show. Without them it is a run of all files.
  const filters: unknown = Reflect.get(project.vitest, "filenamePattern")
  const { testFiles } = await project.globTestFiles(Array.isArray(filters) ? filters.map(String) : [])
  return testFiles
}

const prepareFuse = (): void => {
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
