/** Inspection of entities: asks the entity itself, through Effect's sharding, wherever it is. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { shardEntities } from "@parley/actors/cluster/ShardEntities"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { ErrorCode } from "@parley/protocol/ApiError"
import { errorCodes } from "@parley/protocol/ApiError"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { httpFailure } from "@parley/protocol/HttpFailure"
import { channelIdPattern, userIdPattern } from "@parley/protocol/Ids"
import { fail } from "./OwnerEffects.ts"

const codeOf = (code: string): ErrorCode => errorCodes.find((known) => known === code) ?? "unavailable"

export const layerInspectHttp = HttpApiBuilder.group(
  ParleyApi,
  "operations",
  Effect.fn(function* (handlers) {
    const calls = yield* OwnerCalls
    const entities = shardEntities(calls.shardCount)
    const channel = yield* entities.channel.client
    const session = yield* entities.session.client
    const presence = yield* entities.presence.client

    /** A user of the shard stands for it; a plain number names it. */
    const someoneOf = (id: string): string | undefined => {
      if (!/^\d{1,5}$/.test(id)) return userIdPattern.test(id) ? id : undefined
      for (let i = 0; i < calls.shardCount * 64; i++) {
        if (calls.shardOf(`s${i}`) === Number(id)) return `s${i}`
      }
      return undefined
    }

    return handlers.handleAll({
      inspect: Effect.fnUntraced(function* ({ params, query }) {
        const { admin } = yield* HttpCaller
        if (!admin) return yield* fail("forbidden", "inspection needs an API key or the operator's key")
        const { id, kind } = params
        const payloads = { payloads: query.payloads === "true" }
        const someone = kind === "presence" ? someoneOf(id) : id
        if (
          someone === undefined ||
          (kind === "channel" && !channelIdPattern.test(id)) ||
          (kind === "session" && !userIdPattern.test(id))
        ) {
          return yield* fail("invalid", `${id} names no ${kind}`)
        }
        const client = kind === "channel" ? channel : kind === "session" ? session : presence
        return yield* client(someone)
          .Inspect(payloads)
          .pipe(
            Effect.catchTags({
              InspectFailed: ({ code, detail }) =>
                Effect.fail(httpFailure({ code: codeOf(code), ...(detail === "" ? {} : { detail }) })),
              MailboxFull: () => fail("overloaded"),
              AlreadyProcessingMessage: () => fail("overloaded"),
              PersistenceError: () => fail("unavailable"),
              EntityNotAssignedToRunner: () => fail("moved")
            })
          )
      })
    })
  })
)
