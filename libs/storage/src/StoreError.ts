/** The failures of the stores behind the log: what is live goes on without them (WRITE-BEHIND-SAFE). */
import { Schema } from "effect"
import { inspect } from "node:util"

/** Not now: the same again later may succeed. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  store: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `the store (${this.store}) can't be used now: ${textOf(this.cause)}`
  }
}

/** Never: the store does not take what it was given, however often it is tried. Nothing of the call was written. */
export class StoreRefused extends Schema.TaggedError<StoreRefused>()("StoreRefused", {
  store: Schema.String,
  what: Schema.String
}) {
  override get message() {
    return `the store (${this.store}) does not take what it was given: ${this.what}`
  }
}

/** A cause may be anything, also what can't be made a string of by itself. */
const textOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "message" in cause && typeof cause.message === "string"
    ? cause.message
    : typeof cause === "string"
      ? cause
      : inspect(cause)
