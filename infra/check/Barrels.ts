/**
 * No barrels: a module that only passes on what others export hides where a thing lives, makes every importer load
 * all of it, and is how circular imports begin.
 */
import { parse } from "./Syntax.ts"
import { isTypeScript, type Part, type SourceFile } from "./Part.ts"

export const barrels = {
  name: "no barrels",
  run: ({ files }) =>
    files
      .filter(isTypeScript)
      .filter(isBarrel)
      .map(({ path }) => `${path}:1: only passes on what other modules export: import those`)
} satisfies Part

const isBarrel = (file: SourceFile): boolean => {
  const { body } = parse(file).program
  const passesOn = body.some((node) => node.type === "ExportAllDeclaration" || isReexport(node))
  return passesOn && body.every((node) => node.type.startsWith("Import") || isNameOnly(node))
}

const isReexport = (node: { readonly type: string; readonly source?: unknown }): boolean =>
  node.type === "ExportNamedDeclaration" && node.source !== null

/** `export * from`, `export { a } from`, and `export { a }` of what was imported. */
const isNameOnly = (node: { readonly type: string; readonly declaration?: unknown }): boolean =>
  node.type === "ExportAllDeclaration" || (node.type === "ExportNamedDeclaration" && node.declaration === null)
