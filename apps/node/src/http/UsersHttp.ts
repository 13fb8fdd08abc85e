/** Profiles, and the revocation of tokens. */
import { Effect, Option } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { HttpCaller, ParleyApi } from "@parley/protocol/HttpApi"
import { httpFailure } from "@parley/protocol/HttpFailure"
import { UserId } from "@parley/protocol/Ids"
import { Directory, type UserRow } from "@parley/storage/Directory"
import { askOwner, fail } from "./OwnerEffects.ts"

const unavailable = () => httpFailure({ code: "unavailable" })

const profileOf = (row: UserRow) => ({ user: UserId.make(row.user), name: row.name, created_at: row.createdAt })

/** One's own, or anybody's with an API key. */
const requireSelf = (user: string) =>
  Effect.flatMap(HttpCaller, (caller) => (caller.admin || caller.user === user ? Effect.void : fail("forbidden")))

export const layerUsersHttp = HttpApiBuilder.group(
  ParleyApi,
  "users",
  Effect.fn(function* (handlers) {
    const directory = yield* Directory
    const find = (user: string) => directory.user(user).pipe(Effect.mapError(unavailable))
    return handlers.handleAll({
      get: Effect.fnUntraced(function* ({ params }) {
        const row = yield* find(params.user)
        return Option.isNone(row) ? yield* fail("not_found") : profileOf(row.value)
      }),
      put: Effect.fnUntraced(function* ({ params, payload }) {
        yield* requireSelf(params.user)
        const known = yield* find(params.user)
        const createdAt = Option.match(known, { onNone: () => Date.now(), onSome: (row) => row.createdAt })
        const row: UserRow = { user: params.user, name: payload.name, createdAt }
        yield* directory.putUser(row).pipe(Effect.mapError(unavailable))
        return profileOf(row)
      }),
      revoke: Effect.fnUntraced(function* ({ params, payload }) {
        yield* requireSelf(params.user)
        const { user } = params
        yield* askOwner(user, { _tag: "Revoke", user, before: payload.before, cid: payload.cid })
        const { revokedBefore } = yield* askOwner(user, { _tag: "Open", user, after: { generation: 0, seq: 0 } })
        return { before: revokedBefore }
      })
    })
  })
)
