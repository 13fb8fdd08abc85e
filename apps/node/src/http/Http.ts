/**
 * The HTTP API on the edge's server: the schemas of `ParleyApi` with their handlers, `/metrics`, CORS for the allowed
 * origins, and bounded bodies.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ByteSize, Effect, Layer } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { renderFailure } from "@parley/protocol/ApiError"
import { ParleyApi, userHeader } from "@parley/protocol/HttpApi"
import { RequestErrorsLive } from "@parley/protocol/HttpFailure"
import { Listening } from "../edge/Edge.ts"
import { NodeConfig } from "../NodeConfig.ts"
import { layerChannelsHttp, layerMembersHttp } from "./ChannelsHttp.ts"
import { layerClusterHttp } from "./ClusterHttp.ts"
import { recordEdgeMetrics } from "./EdgeMetrics.ts"
import { layerEdgesHttp } from "./EdgesHttp.ts"
import { layerHealthHttp } from "./HealthHttp.ts"
import { layerHttpAuthentication } from "./HttpAuthentication.ts"
import { layerInspectHttp } from "./InspectHttp.ts"
import { layerMessagesHttp } from "./MessagesHttp.ts"
import { layerParkedHttp } from "./ParkedHttp.ts"
import { recordMetricSources } from "./MetricSources.ts"
import { recordParkedMetrics } from "./ParkedMetrics.ts"
import { layerTokensHttp } from "./TokensHttp.ts"
import { layerUsersHttp } from "./UsersHttp.ts"

/** How long a browser may remember what CORS allowed. */
const corsMaxAgeSeconds = 600

const layerApi = HttpApiBuilder.layer(ParleyApi, { openapiPath: "/v1/openapi.json" }).pipe(
  Layer.provide([
    layerTokensHttp,
    layerEdgesHttp,
    layerUsersHttp,
    layerChannelsHttp,
    layerMembersHttp,
    layerMessagesHttp,
    layerInspectHttp,
    layerParkedHttp,
    layerClusterHttp,
    layerHealthHttp
  ]),
  Layer.provide([layerHttpAuthentication, RequestErrorsLive])
)

const layerMetrics = HttpRouter.add(
  "GET",
  "/metrics",
  Effect.gen(function* () {
    yield* recordEdgeMetrics()
    yield* recordParkedMetrics
    yield* recordMetricSources
    const body = yield* PrometheusMetrics.format()
    return HttpServerResponse.text(body, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
  })
)

const layerRoutes = Layer.mergeAll(layerApi, layerMetrics).pipe(Layer.provide(NodeHttpServer.layerHttpServices))

/** Serves the API on the edge's server; released before the edge drains, it answers 503 while that goes on. */
export const layerHttp = Layer.effectDiscard(
  Effect.gen(function* () {
    const { origins, httpBodyBytesMax } = yield* NodeConfig
    const { server } = yield* Listening
    const scope = yield* Effect.scope
    const cors = HttpMiddleware.cors({
      allowedOrigins: (origin) => origins.includes("*") || origins.includes(origin),
      allowedHeaders: ["authorization", "content-type", userHeader],
      maxAge: corsMaxAgeSeconds
    })
    const app = yield* HttpRouter.toHttpEffect(layerRoutes)
    const handler = yield* NodeHttpServer.makeHandler(cors(withPlainErrors(app)), { scope }).pipe(
      Effect.provideService(HttpServerRequest.MaxBodySize, ByteSize.bytes(httpBodyBytesMax))
    )
    server.on("request", handler)
    yield* Effect.addFinalizer(() => Effect.sync(() => server.off("request", handler)))
  })
)

/** What never reached a handler (no such path, no JSON, too large) is answered in the shape of all other errors. */
const withPlainErrors = <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  app.pipe(
    Effect.catch((error) => {
      const status = statusOf(error)
      return status === undefined ? Effect.fail(error) : Effect.succeed(plainError(status))
    }),
    // A body that can't be read is no failure of an endpoint, so it comes as a defect.
    Effect.catchDefect((defect) => {
      const status = statusOf(defect)
      return status === undefined ? Effect.die(defect) : Effect.succeed(plainError(status))
    }),
    Effect.map((response) =>
      response.body._tag === "Empty" && response.status >= 400 ? plainError(response.status) : response
    )
  )

const statusOf = (error: unknown): number | undefined => {
  if (typeof error !== "object" || error === null || !("reason" in error)) return undefined
  const { reason } = error
  if (typeof reason !== "object" || reason === null || !("_tag" in reason)) return undefined
  if (reason._tag === "RouteNotFound") return 404
  if (reason._tag !== "RequestParseError") return undefined
  return "reason" in reason && reason.reason === "BodyTooLarge" ? 413 : 400
}

const plainError = (status: number): HttpServerResponse.HttpServerResponse => {
  const code = status === 404 ? "not_found" : status === 413 ? "too_large" : status < 500 ? "malformed" : "internal"
  return HttpServerResponse.jsonUnsafe({ error: renderFailure({ code }) }, { status })
}
