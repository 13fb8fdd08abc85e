/**
 * The errors of the HTTP API: the same `error` object as on the socket, with the status of its row in the error table.
 * One schema a status, whose code is one of the codes with that status, so that an answer fits exactly one of them.
 * A request that fits no schema is answered `invalid` in the same shape.
 */
import { Effect, Schema } from "effect"
import { HttpApiMiddleware, HttpApiSchema } from "effect/http-api"
import { type ApiFailure, type ErrorCode, errorCodes, errorTable, renderFailure } from "./ApiError.ts"
import { ErrorBody } from "./Frame.ts"

export type HttpErrorStatus = (typeof errorTable)[ErrorCode]["status"]
type CodeOf<Status extends HttpErrorStatus> = {
  [Code in ErrorCode]: (typeof errorTable)[Code]["status"] extends Status ? Code : never
}[ErrorCode]

const answerOf = <const Status extends HttpErrorStatus>(status: Status, description: string) => {
  const codes = errorCodes.filter((code): code is CodeOf<Status> => errorTable[code].status === status)
  return Schema.Struct({
    error: Schema.Struct({ ...ErrorBody.fields, code: Schema.Literals(codes) })
  })
    .annotate({ identifier: `Error${status}`, description })
    .pipe(HttpApiSchema.status(status))
}

const badRequest = answerOf(400, "The request is not of the documented shape.")

/** One schema a status, for endpoints' `error`. */
export const httpErrors = [
  badRequest,
  answerOf(401, "There is no valid token or API key."),
  answerOf(403, "The caller may not do this."),
  answerOf(404, "There is no such thing, or the caller may not know of it."),
  answerOf(409, "The state, or the client id, does not allow this."),
  answerOf(413, "The request is larger than a limit."),
  answerOf(429, "Too many requests; wait `retry_after_ms`."),
  answerOf(500, "An error in the server."),
  answerOf(503, "Not now: repeat after `retry_after_ms` with the same `cid`.")
] as const
/** What a handler fails with. */
export type HttpFailure = (typeof httpErrors)[number]["Type"]

/** An `ApiFailure` (an owner's, a store's) as a handler's failure. */
export const httpFailure = (failure: ApiFailure): HttpFailure =>
  // The code decides the status, so the body fits the schema of its status; a test goes through every code.
  ({ error: renderFailure(failure) }) as HttpFailure

/** On all groups with input: what fits no schema is answered `{error: {code: "invalid", …}}`, in the shape of all errors. */
export class RequestErrors extends HttpApiMiddleware.Service<RequestErrors>()("@parley/protocol/RequestErrors", {
  error: badRequest
}) {}

/** Longest sentence about what is wrong with a request; values of the request may be quoted in it. */
const detailCharsMax = 300

export const RequestErrorsLive = HttpApiMiddleware.layerSchemaErrorTransform(RequestErrors, (error) => {
  // An answer that doesn't encode is a defect of ours: it goes on as it is and is reported as a 500.
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.fail(error)
  const detail = `${error.kind}: ${error.cause.message}`.replaceAll(/\s+/g, " ").slice(0, detailCharsMax).toWellFormed()
  return Effect.fail({ error: { ...renderFailure({ code: "invalid", detail }), code: "invalid" as const } })
})
