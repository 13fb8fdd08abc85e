/**
 * `npm run check`: every part prints one line, ok or failed with the places. `npm run format [-- PATHS]` formats
 * instead. Ends with 1 if a part failed.
 */
import { join } from "node:path"
import { barrels } from "./Barrels.ts"
import { circularImports } from "./CircularImports.ts"
import { fileNames } from "./FileNames.ts"
import { readFiles } from "./Files.ts"
import { format, formatAll } from "./Format.ts"
import { importDirection } from "./ImportDirection.ts"
import { lint } from "./Lint.ts"
import type { Part, Place, Project } from "./Part.ts"
import { prose } from "./Prose.ts"
import { reasons } from "./Reasons.ts"
import { typeCheck } from "./TypeCheck.ts"

const parts: ReadonlyArray<Part> = [
  typeCheck,
  lint,
  format,
  importDirection,
  circularImports,
  reasons,
  barrels,
  fileNames,
  prose
]

const root = join(import.meta.dirname, "../..")

const check = async (project: Project): Promise<boolean> => {
  let ok = true
  for (const part of parts) {
    const places = await run(part, project)
    ok &&= places.length === 0
    console.log(`${places.length === 0 ? "ok    " : "failed"} ${part.name}`)
    for (const place of places) console.log(`         ${place}`)
  }
  return ok
}

/** A part that breaks down has failed; the others still run. */
const run = async (part: Part, project: Project): Promise<ReadonlyArray<Place>> => {
  try {
    return await part.run(project)
  } catch (error) {
    return [String(error)]
  }
}

const [option, ...paths] = process.argv.slice(2)
if (option === "--fix") {
  for (const line of await formatAll(root, paths)) console.log(line)
} else {
  process.exitCode = (await check({ root, files: readFiles(root) })) ? 0 : 1
}
