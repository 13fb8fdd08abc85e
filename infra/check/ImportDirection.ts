/**
 * Imports point one way: `protocol ← storage`, `protocol ← client`, `protocol ← actors → storage's seams`,
 * `apps → all`, `bench → all`, `test → all`, and nothing else leads to an app. A seam is a module directly in
 * `libs/storage/src`; the folders below hold backends, which only apps, benches and tests choose. Code that runs in
 * a deployment never imports tests, benches or `infra`. Between packages imports go by name, never by `../../`.
 */
import { importsOf } from "./Syntax.ts"
import { isTypeScript, type Part } from "./Part.ts"
import { resolveImport } from "./Resolve.ts"

type Zone =
  | "protocol"
  | "storage seam"
  | "storage backend"
  | "client"
  | "actors"
  | "apps"
  | "lib test"
  | "app test"
  | "bench"
  | "test"
  | "infra"

const libs: ReadonlyArray<Zone> = ["protocol", "storage seam", "storage backend", "client", "actors"]

const mayImport: Readonly<Record<Zone, ReadonlyArray<Zone>>> = {
  protocol: ["protocol"],
  "storage seam": ["protocol", "storage seam"],
  "storage backend": ["protocol", "storage seam", "storage backend"],
  client: ["protocol", "client"],
  actors: ["protocol", "storage seam", "actors"],
  apps: [...libs, "apps"],
  "lib test": [...libs, "lib test", "infra"],
  "app test": [...libs, "apps", "app test", "infra"],
  bench: [...libs, "apps", "bench", "infra"],
  test: [...libs, "apps", "bench", "lib test", "test", "infra"],
  infra: [...libs, "infra"]
}

const zoneOf = (path: string): Zone | undefined => {
  if (/^libs\/[^/]+\/test\//.test(path)) return "lib test"
  if (/^apps\/[^/]+\/test\//.test(path)) return "app test"
  if (path.startsWith("libs/protocol/")) return "protocol"
  if (/^libs\/storage\/src\/[^/]+$/.test(path)) return "storage seam"
  if (path.startsWith("libs/storage/")) return "storage backend"
  if (path.startsWith("libs/client/")) return "client"
  if (path.startsWith("libs/actors/")) return "actors"
  if (path.startsWith("apps/")) return "apps"
  if (path.startsWith("bench/")) return "bench"
  if (path.startsWith("test/")) return "test"
  if (path.startsWith("infra/")) return "infra"
  return undefined
}

/** `libs/protocol`, `apps/node`, or the top folder. */
const packageOf = (path: string): string => /^(?:libs|apps)\/[^/]+|^[^/]+/.exec(path)?.[0] ?? path

export const importDirection = {
  name: "import direction",
  run: ({ files }) => {
    const places: Array<string> = []
    for (const file of files.filter(isTypeScript)) {
      const from = zoneOf(file.path)
      if (from === undefined) continue
      for (const { line, specifier } of importsOf(file)) {
        const wrong = wrongImport(file.path, from, specifier)
        if (wrong !== undefined) places.push(`${file.path}:${line}: ${wrong}`)
      }
    }
    return places
  }
} satisfies Part

const wrongImport = (path: string, from: Zone, specifier: string): string | undefined => {
  const target = resolveImport(path, specifier)
  if (target.kind === "external") return undefined
  if (target.kind === "unknown") return `"${specifier}" is no module of this project: @parley/<package>/<path>`
  const to = zoneOf(target.path)
  if (to === undefined || !mayImport[from].includes(to)) {
    return `${from} may not import ${to ?? "what lies outside the packages"} ("${specifier}")`
  }
  const crosses = packageOf(path) !== packageOf(target.path)
  // Tests and `infra` have no package name to be imported by.
  if (crosses && specifier.startsWith(".") && to !== "infra" && to !== "lib test") {
    return `import another package by its name, not as "${specifier}"`
  }
  // A library's own tests may look at its own direction only, but may choose backends.
  if (from === "lib test" && crosses && !libTestMayImport(path, to)) {
    return `tests of ${packageOf(path)} may not import ${to} ("${specifier}")`
  }
  return undefined
}

const libTestMayImport = (path: string, to: Zone): boolean => {
  if (to === "infra" || to === "lib test") return true
  const own = zoneOf(`${packageOf(path)}/src/any/any.ts`)
  return own !== undefined && (mayImport[own].includes(to) || (own === "actors" && to === "storage backend"))
}
