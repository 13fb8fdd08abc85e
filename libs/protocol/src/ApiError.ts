/**
 * What can go wrong, as a client sees it: one table for the socket and for HTTP. `code` is stable, the text is for a
 * person, `retryable` says whether the same request (with the same client id) may succeed later. No imports: the
 * client bundle uses it.
 */
export const errorTable = {
  malformed: {
    status: 400,
    retryable: false,
    text: "The frame is not a JSON object of the documented shape.",
    client: "Fix the program; do not repeat the request."
  },
  unknown_op: {
    status: 400,
    retryable: false,
    text: "This server does not know the op.",
    client: "Do without the feature; the server may be older than the client."
  },
  invalid: {
    status: 400,
    retryable: false,
    text: "A field has a value that is not allowed.",
    client: "Show the text; do not repeat the request unchanged."
  },
  too_large: {
    status: 413,
    retryable: false,
    text: "The request is larger than a limit in hello allows.",
    client: "Make it smaller."
  },
  unauthenticated: {
    status: 401,
    retryable: false,
    text: "There is no valid token.",
    client: "Get a new token and connect again."
  },
  token_expired: {
    status: 401,
    retryable: false,
    text: "The token has expired.",
    client: "Get a new token and connect again."
  },
  forbidden: { status: 403, retryable: false, text: "The user may not do this.", client: "Show the text." },
  not_found: {
    status: 404,
    retryable: false,
    text: "There is no such thing, or the user may not know of it.",
    client: "Drop it from view."
  },
  conflict: {
    status: 409,
    retryable: false,
    text: "It exists already, or is in a state that does not allow this.",
    client: "Read the current state, then decide."
  },
  id_reused: {
    status: 409,
    retryable: false,
    text: "The client id was used before with another body.",
    client: "Make a new client id for a new mutation."
  },
  id_expired: {
    status: 409,
    retryable: false,
    text: "The client id is older than the idempotency window.",
    client: "Ask the person whether to send it anew, with a new id."
  },
  id_ahead: {
    status: 409,
    retryable: false,
    text: "The client id lies in the future of the server's clock.",
    client: "Correct the clock by server_time, make a new id, send again."
  },
  rate_limited: {
    status: 429,
    retryable: true,
    text: "Too many requests of this kind.",
    client: "Wait retry_after_ms, then repeat with the same client id."
  },
  overloaded: {
    status: 503,
    retryable: true,
    text: "The server is too busy to take this now.",
    client: "Wait retry_after_ms, then repeat with the same client id."
  },
  log_full: {
    status: 503,
    retryable: true,
    text: "The log is full or can't be written; what is there can be read.",
    client: "Keep the message as sending; repeat after retry_after_ms."
  },
  moved: {
    status: 503,
    retryable: true,
    text: "The owner of this channel or user is changing.",
    client: "Repeat after retry_after_ms with the same client id."
  },
  outcome_unknown: {
    status: 503,
    retryable: true,
    text: "It is not yet known whether this was done.",
    client: "Repeat with the same client id; it has one effect."
  },
  unavailable: {
    status: 503,
    retryable: true,
    text: "A part that this needs can't be reached.",
    client: "Repeat after retry_after_ms."
  },
  draining: {
    status: 503,
    retryable: true,
    text: "This server is going away.",
    client: "Connect again as the close frame says."
  },
  internal: {
    status: 500,
    retryable: true,
    text: "An error in the server.",
    client: "Repeat once with the same client id; then show the text."
  }
} as const

export type ErrorCode = keyof typeof errorTable
export const errorCodes = Object.keys(errorTable) as ReadonlyArray<ErrorCode> // keys of a const object literal

/** An error as data; `detail` says what exactly, for a person. */
export interface ApiFailure {
  readonly code: ErrorCode
  readonly detail?: string
  readonly retry_after_ms?: number
  /** Only with `id_ahead`: milliseconds since 1970. */
  readonly server_time?: number
}

/** Waits told to clients where nothing better is known. */
export const retryAfterMsDefault = 500

/** The `error` object of an answer. */
export const renderFailure = (failure: ApiFailure) => {
  const row = errorTable[failure.code]
  return {
    code: failure.code,
    message: failure.detail === undefined ? row.text : failure.detail,
    retryable: row.retryable,
    ...(row.retryable ? { retry_after_ms: failure.retry_after_ms ?? retryAfterMsDefault } : {}),
    ...(failure.server_time === undefined ? {} : { server_time: failure.server_time })
  }
}
