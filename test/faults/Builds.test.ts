/** The patches of broken builds still fit the product's text: a stale one would be a build that is not broken. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { patchedSource } from "./BrokenBuild.ts"
import { builds } from "./Builds.ts"

const root = join(import.meta.dirname, "../..")

it.for(builds.map(({ name, patches }) => ({ name, patches })))("the build $name can be made", ({ patches }) => {
  for (const patch of patches) {
    const source = readFileSync(join(root, patch.file), "utf8")
    expect(patchedSource(source, patch)).toContain(patch.put)
  }
})

it("a patch whose text is not there once is refused", () => {
  expect(() => patchedSource("a a", { file: "x", find: "a", put: "b" })).toThrow(/2 times in x/)
  expect(() => patchedSource("c", { file: "x", find: "a", put: "b" })).toThrow(/0 times in x/)
})
