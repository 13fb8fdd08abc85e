/** The HTTP API as a client meets it: served from memory with handlers that answer what the test asks for. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { type ErrorCode, errorCodes, errorTable } from "../src/ApiError.ts"
import { ErrorBody } from "../src/Frame.ts"
import { Authentication, HttpCaller, ParleyApi, userHeader } from "../src/HttpApi.ts"
import { httpFailure, RequestErrorsLive } from "../src/HttpFailure.ts"
import { UserId } from "../src/Ids.ts"

const isErrorCode = (name: string): name is ErrorCode => Object.hasOwn(errorTable, name)
const general = "team:general"
const cid = "01932c07-4a00-7000-8000-0000000000a1"

const AuthenticationTest = Layer.succeed(Authentication, {
  bearer: (effect) =>
    Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      return yield* Effect.provideService(effect, HttpCaller, {
        user: UserId.make(headers[userHeader] ?? "nobody"),
        admin: true
      })
    })
})

/** Fails with the code that is the user's name. */
const Users = HttpApiBuilder.group(
  ParleyApi,
  "users",
  Effect.fn(function* (handlers) {
    return handlers.handleAll({
      get: ({ params }) =>
        isErrorCode(params.user)
          ? Effect.fail(httpFailure({ code: params.user, detail: "as asked" }))
          : Effect.succeed({ user: params.user, name: "Ada", created_at: 1_700_000_000_000 }),
      put: ({ params, payload }) => Effect.succeed({ user: params.user, name: payload.name, created_at: 1 }),
      revoke: ({ payload }) => Effect.succeed({ before: payload.before })
    })
  })
)
const ack = { seq: 7, at: 1 }
const Others = Layer.mergeAll(
  HttpApiBuilder.group(
    ParleyApi,
    "tokens",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({ create: () => Effect.fail(httpFailure({ code: "not_found" })) })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "edges",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        list: ({ query }) => Effect.succeed({ edges: [{ url: "https://a.example.com", zone: query.zone ?? "" }] })
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "channels",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        create: ({ payload }) => Effect.succeed({ channel: payload.channel, seq: 1, at: 1, generation: 0 }),
        get: () => Effect.fail(httpFailure({ code: "not_found" })),
        update: ({ params }) => Effect.succeed({ channel: params.channel, ...ack }),
        join: ({ params }) => Effect.succeed({ channel: params.channel, ...ack }),
        leave: ({ params }) => Effect.succeed({ channel: params.channel, ...ack })
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "members",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        list: ({ query }) =>
          Effect.succeed({ members: [], more: query.limit === undefined ? null : UserId.make(`limit${query.limit}`) }),
        add: ({ params }) => Effect.succeed({ channel: params.channel, ...ack }),
        remove: ({ params }) => Effect.succeed({ channel: params.channel, ...ack })
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "messages",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        send: ({ params }) => Effect.succeed({ channel: params.channel, seq: 7, n: 3, at: 1 }),
        edit: ({ params }) => Effect.succeed({ channel: params.channel, ...ack }),
        delete: ({ params }) => Effect.succeed({ channel: params.channel, seq: params.seq + 1, at: 1 }),
        history: ({ params, query }) =>
          Effect.succeed({
            channel: params.channel,
            generation: 0,
            from: query.after ?? 0,
            to: query.before ?? 0,
            events: [],
            before: false,
            after: false
          })
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "operations",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({ inspect: ({ params }) => Effect.succeed({ kind: params.kind, id: params.id }) })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "cluster",
    Effect.fn(function* (handlers) {
      const done = () => Effect.succeed({ done: true as const })
      return handlers.handleAll({
        status: () => Effect.fail(httpFailure({ code: "not_found" })),
        cordon: done,
        uncordon: done,
        move: done,
        release: done,
        leave: done,
        comeBack: done
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "parked",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        list: () => Effect.succeed({ events: [] }),
        retry: () => Effect.succeed({ written: 1, left: 0, why: "" }),
        drop: ({ params }) => Effect.succeed({ written: 0, left: params.seq, why: "no" })
      })
    })
  ),
  HttpApiBuilder.group(
    ParleyApi,
    "health",
    Effect.fn(function* (handlers) {
      return handlers.handleAll({
        live: () => Effect.succeed({ alive: true as const }), // a literal of the schema
        ready: () => Effect.fail({ ready: false as const, reasons: ["the log can't be reached"] }) // likewise
      })
    })
  )
)

const Groups = Layer.mergeAll(Users, Others).pipe(Layer.provide([AuthenticationTest, RequestErrorsLive]))
const Api = HttpApiBuilder.layer(ParleyApi).pipe(Layer.provide([Groups, HttpServer.layerServices]))
const { handler, dispose } = HttpRouter.toWebHandler(Api, { disableLogger: true })
afterAll(dispose)

const call = async (method: string, path: string, body?: unknown) => {
  const response = await handler(
    new Request(`http://parley.test${path}`, {
      method,
      headers: { authorization: "Bearer key", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
    })
  )
  return { status: response.status, body: (await response.json()) as unknown } // JSON is whatever came
}
const ErrorAnswer = Schema.Struct({ error: ErrorBody })
const errorOf = (body: unknown) => Schema.decodeUnknownSync(ErrorAnswer)(body).error

describe("HttpApi", () => {
  it("answers each error code with its status and the error object of the socket", async () => {
    for (const code of errorCodes) {
      const { status, body } = await call("GET", `/v1/users/${code}`)
      assert.deepStrictEqual([code, status], [code, errorTable[code].status])
      const error = errorOf(body)
      assert.strictEqual(error.code, code)
      assert.strictEqual(error.message, "as asked")
      assert.strictEqual(error.retryable, errorTable[code].retryable)
      assert.strictEqual(error.retry_after_ms === undefined, !error.retryable)
    }
  })

  it("answers what fits no schema with invalid in the shape of all errors", async () => {
    const path = `/v1/channels/${general}/messages`
    const bad: ReadonlyArray<readonly [string, string, unknown?]> = [
      ["GET", "/v1/users/-x"],
      ["GET", "/v1/channels/general/members"],
      ["GET", `${path}?limit=0`],
      ["GET", `${path}?before=9&after=3`],
      ["GET", `${path}?before=9007199254740992`],
      ["DELETE", `${path}/3?cid=1`],
      ["DELETE", `${path}/3`],
      ["POST", path, "{"],
      ["POST", path, { cid, text: " " }],
      ["POST", path, { cid, text: "half \ud800" }],
      ["POST", path, { text: "no cid" }]
    ]
    for (const [method, path, payload] of bad) {
      const { status, body } = await call(method, path, payload)
      assert.deepStrictEqual([method, path, payload, status], [method, path, payload, 400])
      assert.strictEqual(errorOf(body).code, "invalid")
    }
  })

  it("takes channel ids in paths literally and percent-encoded", async () => {
    for (const id of [general, encodeURIComponent(general)]) {
      const { status, body } = await call("POST", `/v1/channels/${id}/messages`, { cid, text: "hi" })
      assert.deepStrictEqual([status, body], [201, { channel: general, seq: 7, n: 3, at: 1 }])
    }
  })

  it("reads numbers in paths and queries, and lets unknown fields pass", async () => {
    const page = await call("GET", `/v1/channels/${general}/messages?after=3&colour=red`)
    assert.deepStrictEqual(
      [page.status, page.body],
      [
        200,
        {
          channel: general,
          generation: 0,
          from: 3,
          to: 0,
          events: [],
          before: false,
          after: false
        }
      ]
    )
    const gone = await call("DELETE", `/v1/channels/${general}/messages/41?cid=${cid}`)
    assert.deepStrictEqual([gone.status, gone.body], [200, { channel: general, seq: 42, at: 1 }])
    const list = await call("GET", `/v1/channels/${general}/members?limit=5`)
    assert.deepStrictEqual(list.body, { members: [], more: "limit5" })
    const join = await call("POST", `/v1/channels/${general}/join`, { cid, later: 1 })
    assert.deepStrictEqual([join.status, join.body], [200, { channel: general, seq: 7, at: 1 }])
  })

  it("says why it is not ready, with 503", async () => {
    const ready = await call("GET", "/readyz")
    assert.deepStrictEqual([ready.status, ready.body], [503, { ready: false, reasons: ["the log can't be reached"] }])
    assert.strictEqual((await call("GET", "/livez")).status, 200)
  })
})
