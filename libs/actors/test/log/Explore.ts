/**
 * Visits every world of the model that a number of faults leads to, each once, and says how the first broken promise
 * came about.
 */
import { LogModel, type ModelOptions, Violation } from "./LogModel.ts"
import { type World, worldKey } from "./LogWorld.ts"

export interface Explored {
  readonly states: number
  readonly violation: string | null
}

interface Trace {
  readonly move: string
  readonly before: Trace | null
}
interface Visit {
  readonly world: World
  readonly trace: Trace | null
}

/** All worlds that up to `faultsMax` faults lead to, those with fewer faults first. */
export const explore = (options: ModelOptions, faultsMax: number): Explored => {
  const model = new LogModel(options)
  const seen = new Set<string>()
  let layer = new Map<string, Visit>([[worldKey(model.start), { world: model.start, trace: null }]])
  for (let faults = 0; faults <= faultsMax; faults++) {
    const next = new Map<string, Visit>()
    const stack: Array<Visit> = []
    for (const [key, visit] of layer) {
      if (seen.has(key)) continue
      seen.add(key)
      stack.push(visit)
    }
    for (let visit = stack.pop(); visit !== undefined; visit = stack.pop()) {
      const { trace: before, world } = visit
      try {
        for (const { fault, name, world: after } of model.successors(world, faults < faultsMax)) {
          const key = worldKey(after)
          if (seen.has(key)) continue
          const trace: Trace = { move: name, before }
          if (fault) next.set(key, { world: after, trace })
          else {
            seen.add(key)
            stack.push({ world: after, trace })
          }
        }
      } catch (error) {
        if (!(error instanceof Violation)) throw error
        return { states: seen.size, violation: `${error.message}, after\n  ${movesOf(before).join("\n  ")}` }
      }
    }
    layer = next
  }
  return { states: seen.size, violation: null }
}

const movesOf = (trace: Trace | null): ReadonlyArray<string> => {
  const moves: Array<string> = []
  for (let at = trace; at !== null; at = at.before) moves.unshift(at.move)
  return moves
}
