/**
 * What an operator may do about parked events (†26), whichever process their consumers run in: list them, have them tried
 * again, or give a text up that can't be stored.
 */
import { Context, Effect, Schema } from "effect"
import type { Operable, ParkedOperations, Retried } from "@parley/actors/fanout/Parking"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { ParkedEventInfo, ParkedTopic } from "@parley/protocol/HttpApi"

export type ParkedInfo = (typeof ParkedEventInfo)["Type"]

/** One channel's or user's parked events, of one consumer. */
export interface ParkedOf {
  readonly consumer: string
  readonly topic: (typeof ParkedTopic)["Type"]
  readonly id: string
}

export class DeskFailed extends Schema.TaggedError<DeskFailed>()("DeskFailed", {
  code: Schema.Literals(["invalid", "not_found", "unavailable"]),
  detail: Schema.optionalKey(Schema.String)
}) {
  get failure(): ApiFailure {
    return this.detail === undefined ? { code: this.code } : { code: this.code, detail: this.detail }
  }
}

export interface ParkedDesk {
  readonly list: (limit: number) => Effect.Effect<ReadonlyArray<ParkedInfo>, DeskFailed>
  readonly retry: (of: ParkedOf) => Effect.Effect<Retried, DeskFailed>
  /** Gives the first one's text up, and tries what waits behind it. */
  readonly drop: (of: ParkedOf, seq: number) => Effect.Effect<Retried, DeskFailed>
}

/** Where wishes go; undefined: all consumers are in this process. */
export const ParkedDeskHere = Context.Reference<ParkedDesk | undefined>("@parley/node/ParkedDeskHere", {
  defaultValue: () => undefined
})

/** Parked events that are listed at most. */
export const parkedListMax = 1_000

/** A wish that can't be fulfilled says why; all else is that the store can't be had now. */
const told = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, DeskFailed> =>
  Effect.mapError(effect, (error) =>
    typeof error === "object" && error !== null && "why" in error && typeof error.why === "string"
      ? new DeskFailed({ code: "invalid", detail: error.why })
      : new DeskFailed({ code: "unavailable" })
  )

/** By the consumers of this process. */
export const deskOf = (operations: ParkedOperations["Service"]): ParkedDesk => {
  const named = (consumer: string): Effect.Effect<Operable, DeskFailed> => {
    const found = operations.find(consumer)
    return found === undefined
      ? Effect.fail(new DeskFailed({ code: "not_found", detail: `no consumer is called ${consumer}` }))
      : Effect.succeed(found)
  }
  const retry: ParkedDesk["retry"] = ({ consumer, id, topic }) =>
    Effect.flatMap(named(consumer), (found) => told(found.retry(topic, id)))
  return {
    list: (limit) =>
      Effect.forEach([...operations.consumers()], (consumer) => told(consumer.list(parkedListMax))).pipe(
        Effect.map((lists) =>
          lists
            .flat()
            .slice(0, limit)
            .map(({ consumer, generation, id, kind, parkedAt, seq, topic, why }) => ({
              consumer,
              topic,
              id,
              generation,
              seq,
              kind,
              why,
              parked_at: parkedAt
            }))
        )
      ),
    retry,
    drop: (of, seq) =>
      Effect.gen(function* () {
        const consumer = yield* named(of.consumer)
        const { left } = yield* told(consumer.drop(of.topic, of.id, seq))
        return left === 0 ? { written: 0, left, why: "" } : yield* retry(of)
      })
  }
}
