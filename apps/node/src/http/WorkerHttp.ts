/** What a process that is a worker only serves over HTTP: whether it lives, whether it works, and its metrics. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { createServer } from "node:http"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { Listening } from "../edge/Edge.ts"
import { listen } from "../edge/Listeners.ts"
import { NodeConfig } from "../NodeConfig.ts"
import { Readiness, readyAnswer } from "./HealthHttp.ts"
import { recordMetricSources } from "./MetricSources.ts"
import { recordParkedMetrics } from "./ParkedMetrics.ts"

/** `headersTimeout` and `requestTimeout` of the server: nobody but monitoring has anything to ask. */
const requestMsMax = 10_000

const layerHealth = HttpRouter.use((router) =>
  Effect.gen(function* () {
    const readiness = yield* Readiness
    yield* router.add("GET", "/livez", HttpServerResponse.jsonUnsafe({ alive: true }))
    yield* router.add(
      "GET",
      "/readyz",
      Effect.map(readiness, (health) =>
        health.reasons.length > 0
          ? HttpServerResponse.jsonUnsafe({ ready: false, reasons: health.reasons }, { status: 503 })
          : HttpServerResponse.jsonUnsafe(readyAnswer(health))
      )
    )
    yield* router.add(
      "GET",
      "/metrics",
      Effect.gen(function* () {
        yield* recordParkedMetrics
        yield* recordMetricSources
        const body = yield* PrometheusMetrics.format()
        return HttpServerResponse.text(body, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
      })
    )
  })
)

export const layerWorkerHttp = Layer.effect(
  Listening,
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const scope = yield* Effect.scope
    const server = createServer({ headersTimeout: requestMsMax, requestTimeout: requestMsMax })
    const app = yield* HttpRouter.toHttpEffect(layerHealth.pipe(Layer.provide(NodeHttpServer.layerHttpServices)))
    server.on("request", yield* NodeHttpServer.makeHandler(app, { scope }))
    const { port } = yield* listen(server, settings)
    return Listening.of({ host: settings.host, port, server })
  })
)
