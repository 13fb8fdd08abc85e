/**
 * Runs once before the tests of each project. Starts the services that the run's test files ask for
 * (`services/TestServices`), and ends them afterwards.
 *
 * Sets `PARLEY_FUSE=1` and `PARLEY_PYTHON` where the machine can mount a file system of a
 * test's own, after installing what is missing if it may (`test-setup.sh`). Elsewhere it says why not in one line;
 * the tests that need it are then skipped and listed as not run. `PARLEY_FUSE=0` leaves the machine alone.
 */
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { prepareFuse } from "./faults/Fuse.ts"
import { startTestServices } from "./services/TestServices.ts"

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const why = prepareFuse()
  if (why !== undefined) console.log(`Tests that need FUSE are not run: ${why}`)
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
