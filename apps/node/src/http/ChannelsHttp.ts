/** Channels and their members over HTTP: the socket's ops, with the same owners and rules. */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { ChannelMutation } from "@parley/actors/owner/OwnerProtocol"
import type { ChannelHead } from "@parley/protocol/Frame"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { type HttpFailure, httpFailure } from "@parley/protocol/HttpFailure"
import type { ChannelId } from "@parley/protocol/Ids"
import { UserId } from "@parley/protocol/Ids"
import { headOf, viewChannel } from "../edge/ChannelViews.ts"
import { actingUser, askOwner, mutateChannel } from "./OwnerEffects.ts"

/** Members of one page unless asked otherwise. */
const membersLimitDefault = 100

const mutated = (channel: ChannelId, mutation: ChannelMutation) =>
  Effect.map(mutateChannel(mutation), ({ at, seq }) => ({ channel, seq, at }))

export const layerChannelsHttp = HttpApiBuilder.group(
  ParleyApi,
  "channels",
  Effect.fn(function* (handlers) {
    const calls = yield* OwnerCalls
    const head = (user: string, channel: string) =>
      Effect.callback<ChannelHead, HttpFailure>((resume) =>
        viewChannel(calls, user, channel, (view) =>
          resume("ok" in view ? Effect.succeed(headOf(view.ok)) : Effect.fail(httpFailure(view.failure)))
        )
      )
    return handlers.handleAll({
      create: Effect.fnUntraced(function* ({ payload: { channel, cid, members, name, topic } }) {
        const { at, generation, seq } = yield* mutateChannel({
          op: "create",
          channel,
          cid,
          name,
          topic: topic ?? "",
          members
        })
        return { channel, seq, at, generation }
      }),
      get: ({ params }) => Effect.flatMap(actingUser, (user) => head(user, params.channel)),
      update: ({ params: { channel }, payload: { cid, name, topic } }) =>
        mutated(channel, {
          op: "update",
          channel,
          cid,
          ...(name === undefined ? {} : { name }),
          ...(topic === undefined ? {} : { topic })
        }),
      join: ({ params: { channel }, payload: { cid } }) => mutated(channel, { op: "join", channel, cid }),
      leave: ({ params: { channel }, payload: { cid } }) => mutated(channel, { op: "leave", channel, cid })
    })
  })
)

export const layerMembersHttp = HttpApiBuilder.group(ParleyApi, "members", (handlers) =>
  handlers.handleAll({
    list: Effect.fnUntraced(function* ({ params: { channel }, query }) {
      const { admin, user } = yield* HttpCaller
      const limit = query.limit ?? membersLimitDefault
      const stays = yield* askOwner(channel, {
        _tag: "Members",
        user: user ?? "",
        admin,
        channel,
        afterUser: query.after ?? "",
        limit
      })
      const members = stays
        .slice(0, limit)
        .map((stay) => ({ user: UserId.make(stay.user), role: stay.role, since: stay.from }))
      return { members, more: stays.length < limit ? null : (members.at(-1)?.user ?? null) }
    }),
    add: ({ params: { channel }, payload: { cid, members } }) =>
      mutated(channel, { op: "add_members", channel, cid, members }),
    remove: ({ params: { channel, user }, query: { cid } }) =>
      mutated(channel, { op: "remove_members", channel, cid, members: [user] })
  })
)
