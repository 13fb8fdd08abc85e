/** Requests whose caller waits for the answer (history): how they fail. Mutations fail otherwise, see OutboxEntry. */
import type { ErrorCode } from "@parley/protocol/ApiError"
import type { Result } from "./PlainFrame.ts"

/** A request that can't be answered now; `retryable` ones may be repeated. */
export class RequestFailed extends Error {
  override readonly name = "RequestFailed"
  readonly code: ErrorCode | "disconnected"
  readonly retryable: boolean

  constructor(code: ErrorCode | "disconnected", message: string, retryable: boolean) {
    super(message)
    this.code = code
    this.retryable = retryable
  }
}

export const failureOf = (result: Exclude<Result<never>, { _tag: "Ok" }>): RequestFailed =>
  result._tag === "Lost"
    ? new RequestFailed("disconnected", "There is no connection to the server.", true)
    : new RequestFailed(result.error.code, result.error.message, result.error.retryable)
