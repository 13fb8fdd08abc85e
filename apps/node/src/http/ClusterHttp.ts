/** The cluster for its operators: who holds what, and what they want otherwise. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { ClusterOperations, type Operations } from "../ClusterOperations.ts"
import { fail } from "./OwnerEffects.ts"

export const layerClusterHttp = HttpApiBuilder.group(
  ParleyApi,
  "cluster",
  Effect.fn(function* (handlers) {
    const operations = yield* ClusterOperations
    const operated = Effect.gen(function* () {
      const { admin } = yield* HttpCaller
      if (!admin) return yield* fail("forbidden", "the cluster is shown with an API key or the operator's key")
      return operations ?? (yield* fail("not_found", "this server is alone, not one of a cluster"))
    })
    const wish = Effect.fnUntraced(function* (of: (operations: Operations) => ReturnType<Operations["release"]>) {
      yield* of(yield* operated).pipe(
        Effect.catchTags({
          Unknown: ({ what }) => fail("not_found", what),
          LeaseBucketUnavailable: () => fail("unavailable", "the leases can't be reached now")
        })
      )
      return { done: true as const }
    })
    return handlers.handleAll({
      status: () => Effect.map(operated, ({ status }) => status()),
      cordon: ({ params }) => wish(({ cordon }) => cordon(params.runner)),
      uncordon: ({ params }) => wish(({ uncordon }) => uncordon(params.runner)),
      leave: ({ params }) => wish(({ leave }) => leave(params.edge, true)),
      comeBack: ({ params }) => wish(({ leave }) => leave(params.edge, false)),
      move: ({ params }) => wish(({ move }) => move(params.shard, params.runner)),
      release: ({ params }) => wish(({ release }) => release(params.shard))
    })
  })
)
