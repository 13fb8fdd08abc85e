/** Where a client may connect: the edges that this node knows of, the best one first. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ParleyApi } from "@parley/protocol/HttpApi"
import { EdgeDirectory } from "../edge/EdgeDirectory.ts"

export const layerEdgesHttp = HttpApiBuilder.group(
  ParleyApi,
  "edges",
  Effect.fn(function* (handlers) {
    const directory = yield* EdgeDirectory
    return handlers.handleAll({
      list: ({ query }) => Effect.sync(() => ({ edges: directory.choose(query.zone ?? "") }))
    })
  })
)
