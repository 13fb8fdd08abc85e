import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const libs = resolve(import.meta.dirname, "../../..")

/** What a module imports when it runs: types are erased. */
const importsOf = (file: string): ReadonlyArray<string> =>
  [...readFileSync(file, "utf8").matchAll(/^(?:import|export) (?!type )[^"']*?from "([^"]+)"/gm)].map(
    ([, from = ""]) => from
  )

/** All modules that a file brings with it, and what else. */
const reached = (entry: string): ReadonlySet<string> => {
  const found = new Set<string>()
  const visit = (file: string): void => {
    if (found.has(file)) return
    found.add(file)
    for (const from of importsOf(file)) {
      const own = /^@parley\/(\w+)\/(.+)$/.exec(from)
      if (own !== null) visit(join(libs, own[1] ?? "", "src", `${own[2] ?? ""}.ts`))
      else if (from.startsWith(".")) visit(join(dirname(file), from))
      else found.add(from)
    }
  }
  visit(entry)
  return found
}

describe("the threads of log and store", () => {
  it.each(["StoreWorker.ts", "SqliteLogWorker.ts"])("start without Effect: %s (bench `start`)", (name) => {
    const modules = [...reached(join(libs, "storage/src/sqlite", name))]
    expect(modules.length).toBeGreaterThan(3)
    for (const module of modules) expect(existsSync(module) || module.startsWith("node:")).toBe(true)
  })
})
