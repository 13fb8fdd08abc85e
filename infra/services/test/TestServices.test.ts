import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { servicesNeeded } from "../TestServices.ts"

const root = mkdtempSync(join(tmpdir(), "parley-needed-"))
afterAll(() => rmSync(root, { recursive: true }))

// Put together, so that this file does not ask for what its texts ask for.
const nats = ["nats", "Options"].join("")
const cassandra = ["cassandra", "ContactPoint"].join("")
const redis = ["redis", "Url"].join("")

const write = (path: string, text: string): string => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
  return path
}

const door = "libs/storage/test/Services.ts"
write(door, `export const ${nats} = 1\nexport const ${cassandra} = 1\nexport const ${redis} = 1\n`)

it("a test that asks for one service gets that one, not what lies behind the same door", () => {
  const test = write("libs/storage/test/one.test.ts", `import { ${redis} } from "./Services.ts"\nawait ${redis}()\n`)
  expect(servicesNeeded(root, [test])).toEqual(["redis"])
})

it("what asks for it may be a harness of the test, at any distance", () => {
  write("test/harness/Far.ts", `import { ${nats} } from "../../${door}"\nexport const far = ${nats}\n`)
  write("test/harness/Near.ts", `export * from "./Far.ts"\nimport "./Near.ts"\n`)
  const test = write("test/far.test.ts", `import { far } from "./harness/Near.ts"\nexport default far\n`)
  expect(servicesNeeded(root, [test])).toEqual(["nats"])
})

it("a variable that is read by hand counts as well", () => {
  const test = write("test/hand.test.ts", `process.env["PARLEY_TEST_${"CASSANDRA"}"]\n`)
  expect(servicesNeeded(root, [test])).toEqual(["cassandra"])
})

it("other tests start nothing, and what they import in vain is not this one's failure", () => {
  write("libs/actors/src/Real.ts", `export const ${nats} = "configuration"\n`)
  const test = write("libs/actors/test/plain.test.ts", `import "@parley/actors/Real"\nimport "./Missing.ts"\n`)
  expect(servicesNeeded(root, [test])).toEqual([])
})
