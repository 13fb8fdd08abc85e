/** Whether the process lives, and whether traffic may come here. */
import { Context, Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ParleyApi } from "@parley/protocol/HttpApi"
import { Edge } from "../edge/Edge.ts"

/** What else has to be ready, as a sentence for each thing that is not: log, leases. Supplied by the node's assembly. */
export const Readiness = Context.Reference<Effect.Effect<ReadonlyArray<string>>>("@parley/node/Readiness", {
  defaultValue: () => Effect.succeed([])
})

export const layerHealthHttp = HttpApiBuilder.group(
  ParleyApi,
  "health",
  Effect.fn(function* (handlers) {
    const edge = yield* Edge
    const others = yield* Readiness
    return handlers.handleAll({
      live: () => Effect.succeed({ alive: true as const }),
      ready: Effect.fnUntraced(function* () {
        const reasons = [...(yield* others)]
        if (edge.draining()) reasons.push("the node is draining")
        if (edge.runtime.lag.overloaded) reasons.push("the node is overloaded")
        return reasons.length === 0 ? { ready: true as const } : yield* Effect.fail({ ready: false as const, reasons })
      })
    })
  })
)
