/**
 * Who calls the HTTP API: a user by his token, or a server by an API key of the deployment. A token that was revoked is
 * refused here as on the socket. Calls of users count against the same buckets as their frames; a key's don't.
 */
import { Effect, Layer, Redacted } from "effect"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { Authentication as ApiAuthentication, HttpCaller, userHeader } from "@parley/protocol/HttpApi"
import { httpFailure, type HttpFailure } from "@parley/protocol/HttpFailure"
import { UserId, userIdPattern } from "@parley/protocol/Ids"
import { HttpServerRequest } from "effect/http"
import { Authentication, type Verified } from "../edge/Authentication.ts"
import { Edge } from "../edge/Edge.ts"
import type { EdgeRuntime } from "../edge/EdgeRuntime.ts"
import { bucketKey, type OpClass } from "../edge/RateLimit.ts"
import { askOwner, fail } from "./OwnerEffects.ts"

export const layerHttpAuthentication: Layer.Layer<ApiAuthentication, never, Authentication | Edge | OwnerCalls> =
  Layer.effect(
    ApiAuthentication,
    Effect.gen(function* () {
      const authentication = yield* Authentication
      const { runtime } = yield* Edge
      const calls = yield* OwnerCalls
      const identify = Effect.fnUntraced(
        function* (credential: string, opClass: OpClass) {
          if (credential === "") return yield* fail("unauthenticated")
          if (authentication.isApiKey(credential)) return { user: yield* namedUser, admin: true }
          const verified = yield* verify(authentication, credential)
          yield* takeFromBucket(runtime, verified.user, opClass)
          const { revokedBefore } = yield* askOwner(verified.user, {
            _tag: "Open",
            user: verified.user,
            after: { generation: 0, seq: 0 }
          })
          if (revokedBefore > verified.issuedAt) return yield* fail("unauthenticated", "the token was revoked")
          return { user: verified.user, admin: false }
        },
        Effect.provideService(OwnerCalls, calls)
      )
      return {
        bearer: (httpEffect, { credential, endpoint }) => {
          const changes = endpoint.method !== "GET"
          const opClass = !changes
            ? "read"
            : endpoint.identifier === "send" || endpoint.identifier === "edit"
              ? "send"
              : "mutate"
          if (changes && runtime.lag.overloaded) {
            return Effect.fail(httpFailure({ code: "overloaded", retry_after_ms: runtime.lag.retryAfterMs }))
          }
          return Effect.flatMap(identify(Redacted.value(credential), opClass), (caller) =>
            Effect.provideService(httpEffect, HttpCaller, caller)
          )
        }
      }
    })
  )

/** The user that a key's holder names. */
const namedUser = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
  const named = request.headers[userHeader]
  if (named === undefined) return Effect.succeed(null)
  return userIdPattern.test(named)
    ? Effect.succeed(UserId.make(named))
    : fail("invalid", `${userHeader} is not a user id`)
})

const verify = (authentication: Authentication["Service"], token: string) =>
  Effect.callback<Verified, HttpFailure>((resume) =>
    authentication.verify(token, (result) =>
      resume("ok" in result ? Effect.succeed(result.ok) : Effect.fail(httpFailure(result.failure)))
    )
  )

const takeFromBucket = (edge: EdgeRuntime, user: string, opClass: OpClass) =>
  Effect.suspend(() => {
    const waitMs = edge.rateTable.take(bucketKey(opClass, user), performance.now(), edge.opRates[opClass])
    return waitMs > 0 ? Effect.fail(httpFailure({ code: "rate_limited", retry_after_ms: waitMs })) : Effect.void
  })
