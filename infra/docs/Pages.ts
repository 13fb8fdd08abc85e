/** The generated pages of docs/ by their paths, and whether the ones on disk are the same. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { readFiles } from "../check/Files.ts"
import { asyncApiDocument } from "./AsyncApiDocument.ts"
import { configurationPage } from "./ConfigurationPage.ts"
import type { JsonObject } from "./JsonSchemas.ts"
import { openApiDocument } from "./OpenApiDocument.ts"
import { openApiPage } from "./OpenApiPage.ts"
import { show } from "./ShowJson.ts"
import { rulesPage } from "./RulesPage.ts"
import { type Fragment, protocolPage } from "./ProtocolPage.ts"

/** Text by path, relative to the root. */
export type Pages = ReadonlyMap<string, string>

const fragmentsIn = "libs/protocol/docs"

/** In the order of their names. */
const fragments = async (root: string): Promise<ReadonlyArray<Fragment>> => {
  const names = (await readdir(join(root, fragmentsIn))).filter((name) => name.endsWith(".md")).toSorted()
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(root, fragmentsIn, name), "utf8") })))
}

const json = (document: JsonObject): string => `${show(document)}\n`

export const pages = async (root: string): Promise<Pages> => {
  const openApi = openApiDocument()
  const made = new Map([
    ["docs/protocol.md", protocolPage(await fragments(root))],
    ["docs/openapi.json", json(openApi)],
    ["docs/openapi.html", openApiPage(openApi)],
    ["docs/asyncapi.json", json(asyncApiDocument())],
    ["docs/rules.md", rulesPage(readFiles(root))]
  ])
  const configuration = await configurationPage(root)
  if (configuration !== undefined) made.set("docs/configuration.md", configuration)
  return made
}

const onDisk = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8")
  } catch {
    return undefined
  }
}

/** Pages that are not, or no longer, what would be made now. */
export const stalePages = async (root: string, made: Pages): Promise<ReadonlyArray<string>> => {
  const stale: Array<string> = []
  for (const [path, text] of made) if ((await onDisk(join(root, path))) !== text) stale.push(path)
  return stale
}

/** Writes what is stale, and says which. */
export const writePages = async (root: string, made: Pages): Promise<ReadonlyArray<string>> => {
  const stale = await stalePages(root, made)
  for (const path of stale) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), made.get(path) ?? "")
  }
  return stale
}
