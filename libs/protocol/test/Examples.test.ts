/** The examples are what client authors copy: each is accepted by the schema it stands for, and is nothing but it. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { HttpApi, type HttpApiEndpoint } from "effect/http-api"
import { errorCodes } from "../src/ApiError.ts"
import { ChannelEvent, UserEvent } from "../src/Event.ts"
import { answers, ErrorBody, ops, pushes } from "../src/Frame.ts"
import { answerExamples, errorExamples } from "../src/examples/AnswerExamples.ts"
import { eventExamples, userEventExamples } from "../src/examples/EventExamples.ts"
import { type HttpExample, httpExamples } from "../src/examples/HttpExamples.ts"
import { opExamples } from "../src/examples/OpExamples.ts"
import { pushExamples } from "../src/examples/PushExamples.ts"
import { ParleyApi } from "../src/HttpApi.ts"
import { Limits } from "../src/Limits.ts"

type Plain = Schema.Codec<unknown, unknown>

/** Decoded and encoded again it is the same: no field is misspelt, for an unknown one would be gone. */
const isExactly = (schema: Plain, example: unknown) =>
  assert.deepStrictEqual(Schema.encodeUnknownSync(schema)(Schema.decodeUnknownSync(schema)(example)), example)

const keysOf = <Key extends string>(of: { readonly [K in Key]: unknown }) =>
  Object.keys(of).filter((key): key is Key => key in of)
const opNames = keysOf(ops)
const pushNames = keysOf(pushes)

describe("examples", () => {
  for (const name of opNames) {
    it(`show a request and an answer of ${name}`, () => {
      isExactly(ops[name], opExamples[name])
      isExactly(answers[name], answerExamples[name])
    })
  }
  it("fit into one frame", () => {
    for (const example of Object.values(opExamples)) {
      assert.isBelow(JSON.stringify(example).length, Limits.frameBytesMax)
    }
  })
  it("number their requests, each differently", () => {
    assert.strictEqual(new Set(Object.values(opExamples).map(({ id }) => id)).size, opNames.length)
  })
  for (const name of pushNames) {
    it(`show a push of ${name}`, () => isExactly(pushes[name], pushExamples[name]))
  }
  it("show an event of each kind", () => {
    for (const example of Object.values(eventExamples)) isExactly(ChannelEvent, example)
    for (const example of Object.values(userEventExamples)) isExactly(UserEvent, example)
  })
  it("show an error of each code", () => {
    for (const code of errorCodes) isExactly(ErrorBody, errorExamples[code])
  })
})

// as: the API's schemas need no services, which the type of all schemas can't say
const plain = (schema: Schema.Top) => schema as unknown as Plain

interface Endpoint {
  readonly endpoint: HttpApiEndpoint.Top
  readonly successes: ReadonlyMap<number, ReadonlyArray<Plain>>
}
const endpoints = new Map<string, Endpoint>()
HttpApi.reflect(ParleyApi, {
  onGroup: () => undefined,
  onEndpoint: ({ endpoint, errors, group, successes }) => {
    const known = new Map<number, ReadonlyArray<Plain>>()
    for (const [status, schemas] of [...successes, ...errors]) {
      known.set(status, schemas.map(plain))
    }
    endpoints.set(`${group.identifier}.${endpoint.identifier}`, { endpoint, successes: known })
  }
})

/** The values of `:name` in a path, or undefined where the path is another one. */
const paramsOf = (pattern: string, path: string): Record<string, string> | undefined => {
  const names = pattern.split("/")
  const parts = path.split("/")
  if (names.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [place, name] of names.entries()) {
    const part = parts[place] ?? ""
    if (name.startsWith(":")) params[name.slice(1)] = decodeURIComponent(part)
    else if (name !== part) return undefined
  }
  return params
}

describe("HTTP examples", () => {
  it("show each endpoint, and no other", () => {
    assert.deepStrictEqual(Object.keys(httpExamples).toSorted(), [...endpoints.keys()].toSorted())
  })
  for (const [name, example] of Object.entries<HttpExample>(httpExamples)) {
    it(`call ${name} as it is declared`, () => {
      const { endpoint, successes } = endpoints.get(name)!
      const [path, query] = example.path.split("?")
      const params = paramsOf(endpoint.path, path!)
      assert.deepStrictEqual([example.method, params === undefined], [endpoint.method, false])
      if (endpoint.params !== undefined) Schema.decodeUnknownSync(plain(endpoint.params))(params)
      const fields = Object.fromEntries(new URLSearchParams(query))
      if (endpoint.query !== undefined) isExactly(plain(endpoint.query), fields)
      else assert.deepStrictEqual(fields, {})
      const payloads = [...endpoint.payload.values()].flatMap(({ schemas }) => schemas.map(plain))
      assert.strictEqual(payloads.length > 0, example.request !== undefined)
      for (const schema of payloads) isExactly(schema, example.request)
      isExactly(Schema.Union(successes.get(example.status)!), example.answer)
    })
  }
})
