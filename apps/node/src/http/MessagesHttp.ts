/** Messages and history over HTTP. */
import { Effect, Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { answers } from "@parley/protocol/Frame"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { Limits } from "@parley/protocol/Limits"
import { fromWire } from "@parley/protocol/WireText"
import { askOwner, fail, mutateChannel } from "./OwnerEffects.ts"

const nobody: ReadonlyArray<string> = []
const decodeHistory = Schema.decodeUnknownEffect(Schema.fromJsonString(answers.history))

export const layerMessagesHttp = HttpApiBuilder.group(ParleyApi, "messages", (handlers) =>
  handlers.handleAll({
    send: Effect.fnUntraced(function* ({ params: { channel }, payload: { cid, mentions, text } }) {
      const { at, n, seq } = yield* mutateChannel({ op: "send", channel, cid, text, mentions: mentions ?? nobody })
      return { channel, seq, n, at }
    }),
    edit: Effect.fnUntraced(function* ({ params: { channel, seq: target }, payload: { cid, mentions, text } }) {
      const { at, seq } = yield* mutateChannel({ op: "edit", channel, cid, target, text, mentions: mentions ?? nobody })
      return { channel, seq, at }
    }),
    delete: Effect.fnUntraced(function* ({ params: { channel, seq: target }, query: { cid } }) {
      const { at, seq } = yield* mutateChannel({ op: "delete", channel, cid, target })
      return { channel, seq, at }
    }),
    history: Effect.fnUntraced(function* ({ params: { channel }, query: { after, around, before, limit } }) {
      if ([after, around, before].filter((place) => place !== undefined).length > 1) {
        return yield* fail("invalid", "at most one of before, after and around")
      }
      const { admin, user } = yield* HttpCaller
      const page = yield* askOwner(channel, {
        _tag: "History",
        user: user ?? "",
        admin,
        channel,
        before: before ?? null,
        after: after ?? null,
        around: around ?? null,
        limit: limit ?? Limits.historyLimitDefault
      })
      // The owner's own encoding: what doesn't fit its schema is a defect.
      return yield* Effect.orDie(decodeHistory(fromWire(page)))
    })
  })
)
