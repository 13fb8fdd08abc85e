/** Projects for the tests of the checks: from texts in memory, or written to a folder for those that start a tool. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Project } from "../Part.ts"

export const projectOf = (texts: Readonly<Record<string, string>>): Project => ({
  root: "",
  files: Object.entries(texts).map(([path, text]) => ({ path, text }))
})

const realRoot = join(import.meta.dirname, "../../..")
const settings = ["tsconfig.json", ".oxlintrc.json", ".oxfmtrc.json", "package.json"]

/** With the real project's settings and packages; removed afterwards. */
export const withProject = async <A>(
  texts: Readonly<Record<string, string>>,
  use: (project: Project) => Promise<A> | A
): Promise<A> => {
  const root = mkdtempSync(join(tmpdir(), "parley-check-"))
  try {
    for (const file of settings) copyFileSync(join(realRoot, file), join(root, file))
    symlinkSync(join(realRoot, "node_modules"), join(root, "node_modules"))
    for (const [path, text] of Object.entries(texts)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return await use({ ...projectOf(texts), root })
  } finally {
    rmSync(root, { recursive: true })
  }
}
