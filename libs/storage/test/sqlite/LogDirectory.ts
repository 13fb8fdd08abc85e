/** Directories and layers for the tests of the embedded log: each test has files of its own, removed at the end. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

const made: Array<string> = []

afterAll(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true })
})

export const temporaryDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "parley-log-"))
  made.push(directory)
  return directory
}
