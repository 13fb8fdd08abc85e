/** Tokens for whoever asks, in development mode only; elsewhere there is no such thing. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { HttpServerRequest } from "effect/http"
import { httpFailure } from "@parley/protocol/HttpFailure"
import { ParleyApi } from "@parley/protocol/HttpApi"
import { Authentication, developmentTtlSeconds } from "../edge/Authentication.ts"
import { Edge } from "../edge/Edge.ts"
import { ratePerSecond } from "../edge/RateLimit.ts"
import { fail } from "./OwnerEffects.ts"

/** Tokens that one address gets. */
const tokenRate = ratePerSecond(50, 500)

export const layerTokensHttp = HttpApiBuilder.group(
  ParleyApi,
  "tokens",
  Effect.fn(function* (handlers) {
    const { mint } = yield* Authentication
    const { runtime } = yield* Edge
    return handlers.handleAll({
      create: Effect.fnUntraced(function* ({ payload }) {
        if (mint === null)
          return yield* fail("not_found", "this server gives out no tokens: sign them with the deployment's key")
        const { remoteAddress } = yield* HttpServerRequest.HttpServerRequest
        const waitMs = runtime.rateTable.take(`t/${String(remoteAddress)}`, performance.now(), tokenRate)
        if (waitMs > 0) return yield* Effect.fail(httpFailure({ code: "rate_limited", retry_after_ms: waitMs }))
        const { expiresAt, token } = yield* mint(payload.user, payload.ttl_s ?? developmentTtlSeconds)
        return { token, expires_at: expiresAt }
      })
    })
  })
)
