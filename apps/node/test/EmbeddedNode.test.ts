import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "vitest"

/** Prints the packages that a file of the project brings with it. */
const script = `
  import { registerHooks } from "node:module"
  const packages = new Set()
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      const [, name] = /.*\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(resolved.url) ?? []
      if (name !== undefined) packages.add(name)
      return resolved
    }
  })
  await import(process.argv[1])
  process.stdout.write(JSON.stringify([...packages]))
`

const packagesOf = async (file: string): Promise<ReadonlyArray<string>> => {
  const url = new URL(`../src/${file}`, import.meta.url).href
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script, url])
  return JSON.parse(stdout)
}

it("a node that is alone loads no client of Cassandra and Redis, which take a fifth of its start", async () => {
  expect(await packagesOf("ClusterNode.ts")).toEqual(expect.arrayContaining(["effect", "cassandra-driver", "ioredis"]))
  const alone = await packagesOf("EmbeddedNode.ts")
  expect(alone).toContain("effect")
  expect(alone.filter((name) => /redis|cassandra/.test(name))).toEqual([])
})
