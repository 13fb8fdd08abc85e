/**
 * The ids of everything that has a name, and their grammar. Ids become NATS subject tokens, CQL values and file
 * names, so the grammar is strict: what does not match is refused, never repaired. The patterns are exported so
 * that hot paths and clients in other languages can check the same thing.
 */
import { Schema } from "effect"

export const userIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
export const channelIdPattern = /^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
export const clientIdPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** Chosen by the deployment (the `sub` of its tokens): 1 to 64 letters, digits, `_` and `-`, not starting with `_` or `-`. */
export const UserId = Schema.String.check(
  Schema.isPattern(userIdPattern, { message: "a user id is 1 to 64 letters, digits, _ or -, first a letter or digit" })
).pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

/** `type:id`: a channel type (lower case) and an id of the same grammar as a user's. Never used again after a delete. */
export const ChannelId = Schema.String.check(
  Schema.isPattern(channelIdPattern, {
    message: "a channel id is type:id, the type 1 to 32 of a-z 0-9 _, the id 1 to 64 letters, digits, _ or -"
  })
).pipe(Schema.brand("ChannelId"))
export type ChannelId = typeof ChannelId.Type

/** Names one device (or browser profile) of a user; stable over reconnects. Same grammar as a user id. */
export const DeviceId = Schema.String.check(
  Schema.isPattern(userIdPattern, { message: "a device id is 1 to 64 letters, digits, _ or -, first a letter or digit" })
).pipe(Schema.brand("DeviceId"))
export type DeviceId = typeof DeviceId.Type

/** The id a client gives each mutation: a UUIDv7 (RFC 9562 §5.7) in lower case. Sent again, it has one effect. */
export const ClientId = Schema.String.check(
  Schema.isPattern(clientIdPattern, { message: "a client id is a UUID of version 7 in lower case (RFC 9562)" })
).pipe(Schema.brand("ClientId"))
export type ClientId = typeof ClientId.Type

/** Milliseconds since 1970 embedded in a UUIDv7. */
export const clientIdTime = (id: string): number => parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

/** A place in a channel's or session's sequence: 0 (before everything) to 2^53 - 1. */
export const Seq = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
export type Seq = number

/** `(generation, seq)`. Positions of different generations do not compare: the client reloads (DESIGN §3). */
export const Position = Schema.Struct({ generation: Seq, seq: Seq })
export type Position = typeof Position.Type
