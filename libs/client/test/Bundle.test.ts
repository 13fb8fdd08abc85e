/** What a browser has to load: the client, the protocol's plain files, and nothing else. */
import { readFile } from "node:fs/promises"
import { gzipSync } from "node:zlib"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { expect, it } from "vitest"

const gzipBytesMax = 40_000

it("is a browser bundle of less than 40 kB, without Effect, Node or the protocol's schemas", async () => {
  const result = await build({
    entryPoints: [fileURLToPath(new URL("../src/ChatClient.ts", import.meta.url))],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    write: false,
    metafile: true,
    logLevel: "silent"
  })
  const inputs = Object.keys(result.metafile.inputs).map((path) =>
    path.replace(/^.*\/libs\//, "").replace(/^libs\//, "")
  )
  const foreign = inputs.filter((path) => !path.startsWith("client/src/"))
  expect(foreign.toSorted()).toEqual([
    "protocol/src/ApiError.ts",
    "protocol/src/CloseCode.ts",
    "protocol/src/Limits.ts"
  ])
  const zipped = gzipSync(result.outputFiles[0]!.contents).length
  process.stdout.write(`client bundle: ${result.outputFiles[0]!.contents.length} bytes, ${zipped} gzipped\n`)
  expect(zipped).toBeLessThan(gzipBytesMax)
  // What the README promises is what it is.
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8")
  expect(/(\d+) kB gzipped/.exec(readme)?.[1]).toBe(String(Math.ceil(zipped / 1_000)))
})
