/**
 * The protocol's frames as plain types: brands removed, so that an application passes ordinary strings. Types only:
 * nothing of this file, nor of the schemas it reads, is in a bundle.
 */
import type { ChannelEvent, MessageEvent, UserEvent } from "@parley/protocol/Event"
import type {
  Answer,
  ChannelHead,
  ChannelSync,
  ErrorBody,
  Op,
  OpName,
  PresenceState,
  Push,
  ReadState,
  Receipt
} from "@parley/protocol/Frame"

/** A literal stays itself, any other string (branded or not) is `string`: only literals make required keys. */
type PlainString<T extends string> = {} extends { readonly [K in T]: 1 } ? string : T
export type Plain<T> = T extends string ? PlainString<T> : { readonly [K in keyof T]: Plain<T[K]> }

export type OpNames = OpName
/** What a request carries besides `id` and `op`. */
export type OpFields<Name extends OpName> = Omit<Plain<Op<Name>>, "id" | "op">
export type AnswerOf<Name extends OpName> = Plain<Answer<Name>>
export type PlainPush = Plain<Push>
export type PlainEvent = Plain<ChannelEvent>
export type PlainMessage = Plain<MessageEvent>
export type PlainUserEvent = Plain<UserEvent>
export type PlainHead = Plain<ChannelHead>
export type PlainChannelSync = Plain<ChannelSync>
export type PlainReadState = Plain<ReadState>
export type PlainReceipt = Plain<Receipt>
export type Presence = PresenceState
export type ErrorObject = Plain<typeof ErrorBody.Type>
export interface PlainPosition {
  readonly generation: number
  readonly seq: number
}

/** How a request ended. `Lost`: the connection went, or no answer came in time; whether it was done is not known. */
export type Result<A> =
  | { readonly _tag: "Ok"; readonly value: A }
  | { readonly _tag: "Refused"; readonly error: ErrorObject }
  | { readonly _tag: "Lost" }

/** The subprotocol of the WebSocket; a test compares it with the schema's module, which a bundle must not hold. */
export const subprotocol = "parley.v1.json"
