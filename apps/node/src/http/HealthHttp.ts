/** Whether the process lives, and whether traffic may come here. */
import { Context, Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ParleyApi } from "@parley/protocol/HttpApi"
import { Edge } from "../edge/Edge.ts"

/** Sentences for an operator, one a thing. */
export interface Health {
  /** What is not ready: log, leases. No traffic is to come. */
  readonly reasons: ReadonlyArray<string>
  /** What is wrong though traffic may come. */
  readonly degraded: ReadonlyArray<string>
}

/** What else has to be ready. Supplied by the node's assembly. */
export const Readiness = Context.Reference<Effect.Effect<Health>>("@parley/node/Readiness", {
  defaultValue: () => Effect.succeed({ reasons: [], degraded: [] })
})

/** What is answered where traffic may come. */
export const readyAnswer = ({ degraded }: Health) => ({
  ready: true as const,
  ...(degraded.length === 0 ? {} : { degraded })
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
        const health = yield* others
        const reasons = [...health.reasons]
        if (edge.draining()) reasons.push("the node is draining")
        if (edge.runtime.lag.overloaded) reasons.push("the node is overloaded")
        if (reasons.length > 0) return yield* Effect.fail({ ready: false as const, reasons })
        return readyAnswer(health)
      })
    })
  })
)
