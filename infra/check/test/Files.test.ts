import { spawnSync } from "node:child_process"
import { expect, it } from "vitest"
import { readFiles } from "../Files.ts"
import { withProject } from "./project.ts"

const texts = { "libs/a/src/A.ts": "", "node_modules.md": "", "logo.bin": "a\0b", "libs/a/node_modules/b/B.ts": "" }
const settings = [".oxfmtrc.json", ".oxlintrc.json", "package.json", "tsconfig.json"]
const expected = [...settings, "libs/a/src/A.ts", "node_modules.md"].toSorted()
const pathsIn = (root: string) => readFiles(root).map(({ path }) => path)

it("without git, reads text files outside the folders that are never tracked", () =>
  withProject(texts, ({ root }) => {
    expect(pathsIn(root)).toEqual(expected)
  }))

it("with git, reads what is or would be tracked", () =>
  withProject({ ...texts, ".gitignore": "node_modules\n*.log\n", "a.log": "" }, ({ root }) => {
    expect(spawnSync("git", ["init", "--quiet"], { cwd: root }).status).toBe(0)
    expect(pathsIn(root)).toEqual([".gitignore", ...expected].toSorted())
  }))
