/** Requests to owners as effects, for HTTP handlers; the socket's ops use the plain calls. */
import { Effect } from "effect"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Caller, ChannelAck, ChannelMutation, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"
import { type HttpFailure, httpFailure } from "@parley/protocol/HttpFailure"
import type { UserId } from "@parley/protocol/Ids"
import { HttpCaller } from "@parley/protocol/HttpApi"
import { ask, type OwnerAnswers } from "../edge/OwnerAnswers.ts"

export const fail = (code: ApiFailure["code"], detail?: string): Effect.Effect<never, HttpFailure> =>
  Effect.fail(httpFailure(detail === undefined ? { code } : { code, detail }))

/** Asks the owner of `id`'s shard. */
export const askOwner = <R extends OwnerRequest>(
  id: string,
  request: R
): Effect.Effect<OwnerAnswers[R["_tag"]], HttpFailure, OwnerCalls> =>
  Effect.flatMap(OwnerCalls, (calls) =>
    Effect.callback<OwnerAnswers[R["_tag"]], HttpFailure>((resume) =>
      ask(calls, calls.shardOf(id), request, (reply) =>
        resume("ok" in reply ? Effect.succeed(reply.ok) : Effect.fail(httpFailure(reply.failure)))
      )
    )
  )

/** The user a call acts for; an API key has to name one where something is done in a user's name. */
export const actingUser: Effect.Effect<UserId, HttpFailure, HttpCaller> = Effect.flatMap(HttpCaller, ({ user }) =>
  user === null
    ? fail("invalid", "name the user that the call acts for in the header x-parley-user")
    : Effect.succeed(user)
)

/** One mutation of a channel, by the acting user. */
export const mutateChannel = (
  mutation: ChannelMutation
): Effect.Effect<ChannelAck, HttpFailure, HttpCaller | OwnerCalls> =>
  Effect.gen(function* () {
    const { admin } = yield* HttpCaller
    const caller: Caller = { user: yield* actingUser, device: "", connection: 0, edge: "" }
    return yield* askOwner(mutation.channel, { _tag: "Mutate", caller, mutation, admin })
  })
