/**
 * Loaded into a node before its own code (`--import BrokenBuild.ts?build=NAME`): patches files of the product as they are
 * loaded, so that no branch for tests is in the product itself. A patch whose text is not there exactly once ends the node.
 */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { type Build, builds } from "./Builds.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const name = new URL(import.meta.url).searchParams.get("build")

export const patchedSource = (source: string, { file, find, put }: Build["patches"][number]): string => {
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`its text is ${parts.length - 1} times in ${file}: ${find}`)
  return parts.join(put)
}

const apply = (build: Build): void => {
  const byUrl = Map.groupBy(build.patches, ({ file }) => pathToFileURL(root + file).href)
  registerHooks({
    load: (url, context, next) => {
      const patches = byUrl.get(url)
      if (patches === undefined) return next(url, context)
      const source = patches.reduce(patchedSource, readFileSync(fileURLToPath(url), "utf8"))
      return { format: "module-typescript", shortCircuit: true, source }
    }
  })
}

if (name !== null) {
  const build = builds.find((one) => one.name === name)
  if (build === undefined) throw new Error(`there is no broken build ${name}`)
  apply(build)
}
