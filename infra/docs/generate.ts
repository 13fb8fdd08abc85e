/**
 * Makes the generated pages of docs/ from the schemas, the prose fragments and the settings.
 * `node infra/launch.mjs infra/docs/generate.ts` writes them; with `--check` nothing is written, and stale pages are
 * named and make it end with 1.
 */
import { join } from "node:path"
import { pages, stalePages, writePages } from "./Pages.ts"

const root = join(import.meta.dirname, "../..")
const made = await pages(root)
if (process.argv.includes("--check")) {
  const stale = await stalePages(root, made)
  for (const path of stale) console.log(`${path} is stale: run infra/docs/generate.ts`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  for (const path of await writePages(root, made)) console.log(`wrote ${path}`)
}
