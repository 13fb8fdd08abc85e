/**
 * The project's files: what git tracks or would track, or, without git (an unpacked archive), everything outside the
 * folders that are never tracked. Binary files are left out.
 */
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join, relative, sep } from "node:path"
import type { SourceFile } from "./Part.ts"

const neverTracked = new Set(["node_modules", ".git", ".parley", "data", "coverage", ".tmp"])

export const readFiles = (root: string): ReadonlyArray<SourceFile> => {
  const files: Array<SourceFile> = []
  for (const path of (listByGit(root) ?? listByWalk(root)).toSorted()) {
    const text = readText(join(root, path))
    if (text !== undefined) files.push({ path, text })
  }
  return files
}

const listByGit = (root: string): ReadonlyArray<string> | undefined => {
  const top = spawnSync("git", ["rev-parse", "--show-prefix"], { cwd: root, encoding: "utf8" })
  // A prefix means that the root is a folder of some other repository.
  if (top.status !== 0 || top.stdout.trim() !== "") return undefined
  const list = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20
  })
  return list.status === 0 ? list.stdout.split("\0").filter((path) => path !== "") : undefined
}

const listByWalk = (root: string): ReadonlyArray<string> => {
  const paths: Array<string> = []
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (neverTracked.has(entry.name)) continue
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) paths.push(relative(root, path).split(sep).join("/"))
    }
  }
  walk(root)
  return paths
}

/** Undefined for what is not text, and for a tracked file that somebody has just deleted or renamed. */
const readText = (path: string): string | undefined => {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined
  const bytes = readFileSync(path)
  return bytes.includes(0) ? undefined : bytes.toString("utf8")
}
