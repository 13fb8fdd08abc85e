/**
 * The services that tests need, started before them and ended after them. Which ones is read from the tests themselves: who
 * asks for NATS by `natsOptions()` gets NATS, and a run of other files starts nothing. What the environment names
 * already (`PARLEY_TEST_NATS`, `PARLEY_TEST_CASSANDRA`, `PARLEY_TEST_REDIS`) is used as it is.
 */
import { readFileSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { resolveImport } from "../check/Resolve.ts"
import { importsOf } from "../check/Syntax.ts"
import { environmentOf } from "./Environment.ts"
import { startEach } from "./Services.ts"
import { type ServiceName, serviceNames } from "./State.ts"

/** Defines the functions below, so it asks for nothing itself. */
const door = "libs/storage/test/Services.ts"
const throughDoor: Readonly<Record<ServiceName, RegExp>> = {
  nats: /\bnatsOptions(?:Now)?\b/,
  cassandra: /\bcassandraContactPoint\b/,
  redis: /\bredisUrl\b/
}
const byHand: Readonly<Record<ServiceName, RegExp>> = {
  nats: /["'`]PARLEY_TEST_NATS/,
  cassandra: /["'`]PARLEY_TEST_CASSANDRA/,
  redis: /["'`]PARLEY_TEST_REDIS/
}
/** Only code of tests asks; what is tested gets addresses from its configuration. */
const isOfTests = (path: string): boolean => /(?:^|\/)test\/|^bench\//.test(path)

/** Of these files and all that they import, paths relative to `root`. */
export const servicesNeeded = (root: string, files: ReadonlyArray<string>): ReadonlyArray<ServiceName> => {
  const needed = new Set<ServiceName>()
  const seen = new Set([door])
  const queue = [...files]
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path) || !isOfTests(path)) continue
    seen.add(path)
    const text = textOf(join(root, path))
    const imported = importsOf({ path, text }).flatMap(({ specifier }) => {
      const target = resolveImport(path, specifier)
      return target.kind === "file" ? [target.path] : []
    })
    for (const name of serviceNames) {
      if (byHand[name].test(text) || (imported.includes(door) && throughDoor[name].test(text))) needed.add(name)
    }
    queue.push(...imported)
  }
  return serviceNames.filter((name) => needed.has(name))
}

/** A file that is not there is its importer's failure, which the test run reports better. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

export interface TestServices {
  readonly stop: () => Promise<void>
}

/**
 * Sets the variables that `libs/storage/test/Services.ts` reads. A service that can't be had fails the tests that ask for it,
 * each with the reason; the others run.
 */
export const startTestServices = async (root: string, files: ReadonlyArray<string>): Promise<TestServices> => {
  const paths = files.map((file) => relative(root, file))
  const missing = servicesNeeded(root, paths).filter((name) => !isKnown(name))
  if (missing.length === 0) return { stop: async () => undefined }
  const services = await startEach({
    data: await mkdtemp(join(tmpdir(), "parley-services-")),
    temporary: true,
    say: (line) => console.log(`Services for tests: ${line}`),
    // What a person has set for a node of his own is not for tests to write into.
    environment: withoutServices(process.env),
    ...(missing.includes("nats") ? { nats: {} } : {}),
    ...(missing.includes("cassandra") ? { cassandra: { brief: true } } : {}),
    ...(missing.includes("redis") ? { redis: true } : {})
  })
  Object.assign(process.env, environmentOf(services.state, "PARLEY_TEST_"))
  for (const [name, { message }] of services.failures) {
    process.env[whyNot(name)] = message
    console.error(`Services for tests: ${message}`)
  }
  return services
}

const whyNot = (name: ServiceName): string => `PARLEY_TEST_${name.toUpperCase()}_WHY_NOT`

const isKnown = (name: ServiceName): boolean =>
  [`PARLEY_TEST_${name.toUpperCase()}`, whyNot(name)].some((variable) => (process.env[variable] ?? "") !== "")

const withoutServices = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const given = new Set(serviceNames.map((name) => `PARLEY_${name.toUpperCase()}`))
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !given.has(name)))
}
