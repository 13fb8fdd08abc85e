/**
 * No module imports itself by way of others. Imports of types alone don't count: nothing is left of them at run time,
 * so they can't meet a module that is half loaded.
 */
import { importsOf } from "./Syntax.ts"
import { isTypeScript, type Part, type SourceFile } from "./Part.ts"
import { resolveImport } from "./Resolve.ts"

interface Edge {
  readonly to: string
  readonly line: number
}

export const circularImports = {
  name: "circular imports",
  run: ({ files }) => {
    const graph = new Map(files.filter(isTypeScript).map((file) => [file.path, edgesOf(file)]))
    return findCycles(graph).map((cycle) => {
      const line = graph.get(cycle[0] ?? "")?.find(({ to }) => to === (cycle[1] ?? cycle[0]))?.line ?? 1
      return `${cycle[0]}:${line}: ${[...cycle, cycle[0]].join(" → ")}`
    })
  }
} satisfies Part

const edgesOf = (file: SourceFile): ReadonlyArray<Edge> => {
  const edges: Array<Edge> = []
  for (const { line, specifier, typeOnly } of importsOf(file)) {
    const target = resolveImport(file.path, specifier)
    if (target.kind === "file" && !typeOnly) edges.push({ to: target.path, line })
  }
  return edges
}

/** One cycle for each import that closes one, found by walking depth first. */
const findCycles = (graph: ReadonlyMap<string, ReadonlyArray<Edge>>): ReadonlyArray<ReadonlyArray<string>> => {
  const cycles: Array<ReadonlyArray<string>> = []
  const done = new Set<string>()
  const trail: Array<string> = []
  const visit = (path: string): void => {
    if (done.has(path)) return
    const at = trail.indexOf(path)
    if (at !== -1) {
      cycles.push(trail.slice(at))
      return
    }
    trail.push(path)
    for (const { to } of graph.get(path) ?? []) visit(to)
    trail.pop()
    done.add(path)
  }
  for (const path of graph.keys()) visit(path)
  return cycles
}
