/** Parked events (†26): an operator lists them, has them tried again, or gives a text up that can't be stored. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { type Operable, ParkedOperations } from "@parley/actors/fanout/Parking"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { httpFailure, type HttpFailure } from "@parley/protocol/HttpFailure"
import { fail } from "./OwnerEffects.ts"

const listMax = 1_000

const operator = Effect.flatMap(HttpCaller, ({ admin }) =>
  admin ? Effect.void : fail("forbidden", "parked events need an API key or the operator's key")
)

/** A wish that can't be fulfilled says why; all else is that the store can't be had now. */
const told = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, HttpFailure> =>
  Effect.mapError(effect, (error) =>
    typeof error === "object" && error !== null && "why" in error && typeof error.why === "string"
      ? httpFailure({ code: "invalid", detail: error.why })
      : httpFailure({ code: "unavailable" })
  )

export const layerParkedHttp = HttpApiBuilder.group(
  ParleyApi,
  "parked",
  Effect.fn(function* (handlers) {
    const operations = yield* ParkedOperations
    const named = (consumer: string): Effect.Effect<Operable, HttpFailure> => {
      const found = operations.find(consumer)
      return found === undefined ? fail("not_found", `no consumer is called ${consumer}`) : Effect.succeed(found)
    }
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ query }) {
        yield* operator
        const limit = query.limit ?? listMax
        const lists = yield* told(Effect.forEach([...operations.consumers()], (consumer) => consumer.list(listMax)))
        const events = lists.flat().map(({ consumer, generation, id, kind, parkedAt, seq, topic, why }) => ({
          consumer,
          topic,
          id,
          generation,
          seq,
          kind,
          why,
          parked_at: parkedAt
        }))
        return { events: events.slice(0, limit) }
      }),
      retry: Effect.fnUntraced(function* ({ params }) {
        yield* operator
        const consumer = yield* named(params.consumer)
        return yield* told(consumer.retry(params.topic, params.id))
      }),
      drop: Effect.fnUntraced(function* ({ params }) {
        yield* operator
        const consumer = yield* named(params.consumer)
        const { id, seq, topic } = params
        const { left } = yield* told(consumer.drop(topic, id, seq))
        return left === 0 ? { written: 0, left, why: "" } : yield* told(consumer.retry(topic, id))
      })
    })
  })
)
