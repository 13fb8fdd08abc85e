/**
 * What the checks need of a TypeScript file's syntax: its imports, its statements and its comments. Parsed with
 * oxc-parser, since the native TypeScript has no stable programming interface yet.
 */
import { parseSync, Visitor } from "oxc-parser"
import type { SourceFile } from "./Part.ts"

export interface Import {
  readonly specifier: string
  readonly line: number
  /** `import type` or `export type … from`: gone at run time. */
  readonly typeOnly: boolean
}

export interface Syntax {
  readonly program: ReturnType<typeof parseSync>["program"]
  readonly comments: ReturnType<typeof parseSync>["comments"]
  /** From 1. */
  readonly lineOf: (offset: number) => number
}

const parsed = new WeakMap<SourceFile, Syntax>()

/** Throws where the file doesn't parse; the type check says so better. */
export const parse = (file: SourceFile): Syntax => {
  const known = parsed.get(file)
  if (known !== undefined) return known
  const { comments, errors, program } = parseSync(file.path, file.text)
  if (errors.length > 0) throw new Error(`${file.path} doesn't parse: ${errors[0]?.message}`)
  const ends: Array<number> = []
  for (let at = file.text.indexOf("\n"); at !== -1; at = file.text.indexOf("\n", at + 1)) ends.push(at)
  const syntax: Syntax = { program, comments, lineOf: (offset) => lowerBound(ends, offset) + 1 }
  parsed.set(file, syntax)
  return syntax
}

/** How many of the ascending numbers are below `value`. */
const lowerBound = (ascending: ReadonlyArray<number>, value: number): number => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] ?? Infinity) < value) low = middle + 1
    else high = middle
  }
  return low
}

/** Static, dynamic and type imports, and re-exports. Specifiers that are computed are left out. */
export const importsOf = (file: SourceFile): ReadonlyArray<Import> => {
  const { lineOf, program } = parse(file)
  const imports: Array<Import> = []
  const add = (specifier: unknown, start: number, typeOnly: boolean): void => {
    if (typeof specifier === "string") imports.push({ specifier, line: lineOf(start), typeOnly })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source.value, node.start, node.importKind === "type"),
    ExportAllDeclaration: (node) => add(node.source.value, node.start, node.exportKind === "type"),
    ExportNamedDeclaration: (node) => add(node.source?.value, node.start, node.exportKind === "type"),
    ImportExpression: (node) => {
      if (node.source.type === "Literal") add(node.source.value, node.start, false)
    },
    TSImportType: (node) => add(node.source.value, node.start, true)
  }).visit(program)
  return imports
}
