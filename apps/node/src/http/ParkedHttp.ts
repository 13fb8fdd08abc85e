/** Parked events (†26): an operator lists them, has them tried again, or gives a text up that can't be stored. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { httpFailure, type HttpFailure } from "@parley/protocol/HttpFailure"
import { type DeskFailed, deskOf, ParkedDeskHere, parkedListMax } from "../workers/ParkedDesk.ts"
import { fail } from "./OwnerEffects.ts"

const operator = Effect.flatMap(HttpCaller, ({ admin }) =>
  admin ? Effect.void : fail("forbidden", "parked events need an API key or the operator's key")
)

const told = <A>(effect: Effect.Effect<A, DeskFailed>): Effect.Effect<A, HttpFailure> =>
  Effect.mapError(effect, ({ failure }) => httpFailure(failure))

export const layerParkedHttp = HttpApiBuilder.group(
  ParleyApi,
  "parked",
  Effect.fn(function* (handlers) {
    const desk = (yield* ParkedDeskHere) ?? deskOf(yield* ParkedOperations)
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ query }) {
        yield* operator
        return { events: yield* told(desk.list(query.limit ?? parkedListMax)) }
      }),
      retry: Effect.fnUntraced(function* ({ params }) {
        yield* operator
        return yield* told(desk.retry(params))
      }),
      drop: Effect.fnUntraced(function* ({ params }) {
        yield* operator
        return yield* told(desk.drop(params, params.seq))
      })
    })
  })
)
