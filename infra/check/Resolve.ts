/**
 * Where an import leads, by the project's two conventions: relative with `.ts` inside a package, and
 * `@parley/<package>/<path>` between packages. Node's built-ins and packages from the registry are `external`.
 */
import { posix } from "node:path"

const packageFolders: ReadonlyMap<string, string> = new Map([
  ["protocol", "libs/protocol"],
  ["storage", "libs/storage"],
  ["client", "libs/client"],
  ["actors", "libs/actors"],
  ["node", "apps/node"],
  ["console", "apps/console"],
  ["bench", "bench"]
])

export type Target =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "external"; readonly name: string }
  | { readonly kind: "unknown" }

export const resolveImport = (from: string, specifier: string): Target => {
  if (specifier.startsWith(".")) return { kind: "file", path: posix.join(posix.dirname(from), specifier) }
  if (!specifier.startsWith("@parley/")) return { kind: "external", name: specifier }
  const [, name = "", ...path] = specifier.split("/")
  const folder = packageFolders.get(name)
  if (folder === undefined || path.length === 0) return { kind: "unknown" }
  return { kind: "file", path: `${folder}/src/${path.join("/")}.ts` }
}
