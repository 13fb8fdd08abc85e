/**
 * The ids of everything that has a name, and their grammar. Ids become NATS subject tokens, CQL values and file
 * names, so the grammar is strict: what does not match is refused, never repaired. The patterns are exported so
 * that hot paths and clients in other languages can check the same thing.
 */
import { Schema } from "effect"
import { means } from "./Meaning.ts"

// `u` because only such patterns are carried over to JSON Schema.
export const userIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u
export const channelIdPattern = /^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u
export const clientIdPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u

/** Chosen by the deployment (the `sub` of its tokens). */
export const UserId = Schema.String.check(
  Schema.isPattern(userIdPattern, { message: "a user id is 1 to 64 letters, digits, _ or -, first a letter or digit" })
)
  .annotate({
    identifier: "UserId",
    description:
      "Names a user: 1 to 64 letters, digits, `_` and `-`, the first one a letter or digit. Chosen by the deployment (the `sub` of its tokens)."
  })
  .pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

/** Never used again after a delete. */
export const ChannelId = Schema.String.check(
  Schema.isPattern(channelIdPattern, {
    message: "a channel id is type:id, the type 1 to 32 of a-z 0-9 _, the id 1 to 64 letters, digits, _ or -"
  })
)
  .annotate({
    identifier: "ChannelId",
    description:
      "Names a channel: `type:id`. The type is 1 to 32 of `a-z`, `0-9` and `_`, the first one a letter; the id has the grammar of a user id. An id is never used again."
  })
  .pipe(Schema.brand("ChannelId"))
export type ChannelId = typeof ChannelId.Type

/** Stable over reconnects. */
export const DeviceId = Schema.String.check(
  Schema.isPattern(userIdPattern, {
    message: "a device id is 1 to 64 letters, digits, _ or -, first a letter or digit"
  })
)
  .annotate({
    identifier: "DeviceId",
    description:
      "Names one device (or browser profile) of a user, with the grammar of a user id. Made once by the client and kept over reconnects and restarts."
  })
  .pipe(Schema.brand("DeviceId"))
export type DeviceId = typeof DeviceId.Type

/** Sent again, it has one effect (EXACTLY-ONCE-EFFECT). */
export const ClientId = Schema.String.check(
  Schema.isPattern(clientIdPattern, { message: "a client id is a UUID of version 7 in lower case (RFC 9562)" })
)
  .annotate({
    identifier: "ClientId",
    description:
      "The id a client gives each mutation: a UUID of version 7 (RFC 9562 section 5.7) in lower case. Sent again with the same body, it has one effect and gets the same answer."
  })
  .pipe(Schema.brand("ClientId"))
export type ClientId = typeof ClientId.Type

/** A place in a channel's or session's sequence. */
export const Seq = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })).annotate({
  identifier: "Seq",
  description: "A place in a sequence: a whole number from 0 (before everything) to 2^53 - 1."
})
export type Seq = number

/** Positions of different generations do not compare: the client reloads (DESIGN §3). */
export const Position = Schema.Struct({
  generation: Seq.pipe(means("Which run of the sequence `seq` belongs to.")),
  seq: Seq.pipe(means("The place in it."))
}).annotate({
  identifier: "Position",
  description: "A generation and a place in it. Places of different generations do not compare."
})
export type Position = typeof Position.Type

/** Server time: for display and for clocks, never for order. */
export const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })).annotate({
  identifier: "Millis",
  description: "Milliseconds since 1970-01-01 UTC."
})
