/**
 * Runs a file of the project on Node 24: `node infra/launch.mjs FILE ARGUMENTS…`, FILE relative to the project's
 * root. The file is imported, not spawned, so signals and exit codes belong to one process.
 *
 * Inside an npm script `node` is the one that `npm ci` installed; where there is none for the machine, it is the
 * machine's own. This file is plain JavaScript for Node 18 and later, so that an older one can say what is wrong.
 */
import { resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const nodeMajorMin = 24
const [file, ...rest] = process.argv.slice(2)

if (Number(process.versions.node.split(".")[0]) < nodeMajorMin) {
  const machine = `${process.platform} ${process.arch}`
  const bundled = process.platform === "linux" && (process.arch === "x64" || process.arch === "arm64")
  console.error(
    [
      `Parley needs Node ${nodeMajorMin} or later; this is Node ${process.versions.node} on ${machine}.`,
      bundled
        ? `\`npm ci\` brings Node ${nodeMajorMin} for this machine, and the npm scripts use it: run \`npm ci\` (without --omit=optional), then \`npm start\` or another script.`
        : `\`npm ci\` brings Node ${nodeMajorMin} for linux x64 and linux arm64, not for ${machine}.`,
      `Or install Node ${nodeMajorMin} or later (https://nodejs.org) and run the same command.`
    ].join("\n")
  )
  process.exit(1)
}
if (file === undefined) {
  console.error("usage: node infra/launch.mjs FILE ARGUMENTS…")
  process.exit(2)
}

const path = resolve(root, file)
process.argv = [process.execPath, path, ...rest]
await import(pathToFileURL(path).href)
