/**
 * docs/asyncapi.json: AsyncAPI 3.0 of the socket, from the server's side: it receives requests and replies to them, and
 * sends pushes. AsyncAPI's schemas are JSON Schema of draft 7, which says tuples in another way than today's.
 */
import {
  answers,
  ErrorBody,
  type OpName,
  ops,
  type PushName,
  pushes,
  socketPath,
  subprotocol
} from "@parley/protocol/Frame"
import { Seq } from "@parley/protocol/Ids"
import { answerExamples } from "@parley/protocol/examples/AnswerExamples"
import { opExamples } from "@parley/protocol/examples/OpExamples"
import { pushExamples } from "@parley/protocol/examples/PushExamples"
import { isObject, type Json, type JsonObject, JsonSchemas, toJson } from "./JsonSchemas.ts"

// The keys of a const object literal.
const opNames = Object.keys(ops) as ReadonlyArray<OpName>
// Likewise.
const pushNames = Object.keys(pushes) as ReadonlyArray<PushName>

const ref = (path: string): JsonObject => ({ $ref: `#/${path}` })

/** JSON Schema of 2020 as one of draft 7. */
export const asDraft7 = (schema: Json): Json => {
  if (Array.isArray(schema)) return schema.map(asDraft7)
  if (!isObject(schema)) return schema
  const { items, prefixItems, ...rest } = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, asDraft7(value)])
  )
  if (prefixItems !== undefined) return { ...rest, items: prefixItems, additionalItems: items ?? true }
  return items === undefined ? rest : { ...rest, items }
}

const requestMessage = (name: OpName, schemas: JsonSchemas): JsonObject => {
  const payload = schemas.of(ops[name])
  return {
    name,
    summary: payload["description"] ?? "",
    payload: asDraft7(payload),
    examples: [{ name, payload: toJson(opExamples[name]) }]
  }
}

const answerMessage = (name: OpName, schemas: JsonSchemas): JsonObject => {
  const re = { ...schemas.of(Seq), description: "The `id` of the request." }
  const ok = { type: "object", properties: { re, ok: schemas.of(answers[name]) }, required: ["re", "ok"] }
  const error = { type: "object", properties: { re, error: schemas.of(ErrorBody) }, required: ["re", "error"] }
  return {
    name: `${name}.answer`,
    summary: `The answer to ${name}.`,
    payload: asDraft7({ oneOf: [ok, error] }),
    examples: [{ name: "ok", payload: toJson({ re: opExamples[name].id, ok: answerExamples[name] }) }]
  }
}

const pushMessage = (name: PushName, schemas: JsonSchemas): JsonObject => {
  const payload = schemas.of(pushes[name])
  return {
    name: `push.${name}`,
    summary: payload["description"] ?? "",
    payload: asDraft7(payload),
    examples: [{ name, payload: toJson(pushExamples[name]) }]
  }
}

const messagesOf = (schemas: JsonSchemas): JsonObject =>
  Object.fromEntries<Json>([
    ...opNames.flatMap((name): ReadonlyArray<[string, Json]> => [
      [name, requestMessage(name, schemas)],
      [`${name}.answer`, answerMessage(name, schemas)]
    ]),
    ...pushNames.map((name): [string, Json] => [`push.${name}`, pushMessage(name, schemas)])
  ])

const operationsOf = (): JsonObject =>
  Object.fromEntries<Json>([
    ...opNames.map((name): [string, Json] => [
      name,
      {
        action: "receive",
        channel: ref("channels/socket"),
        messages: [ref(`channels/socket/messages/${name}`)],
        reply: { channel: ref("channels/socket"), messages: [ref(`channels/socket/messages/${name}.answer`)] }
      }
    ]),
    ...pushNames.map((name): [string, Json] => [
      `push.${name}`,
      {
        action: "send",
        channel: ref("channels/socket"),
        messages: [ref(`channels/socket/messages/push.${name}`)]
      }
    ])
  ])

export const asyncApiDocument = (): JsonObject => {
  const schemas = new JsonSchemas()
  const messages = messagesOf(schemas)
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Parley live protocol",
      version: "1",
      description: `\`${subprotocol}\` over WebSocket. How the frames play together is in protocol.md.`,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" }
    },
    defaultContentType: "application/json",
    servers: {
      local: {
        host: "127.0.0.1:8080",
        protocol: "ws",
        description: "A node on this machine; a deployment has its own address, by wss."
      }
    },
    channels: {
      socket: {
        address: socketPath,
        description: `One WebSocket with the subprotocol ${subprotocol}; each text message is one frame.`,
        messages: Object.fromEntries(Object.keys(messages).map((name) => [name, ref(`components/messages/${name}`)])),
        bindings: {
          ws: {
            method: "GET",
            headers: {
              type: "object",
              properties: { "Sec-WebSocket-Protocol": { type: "string", const: subprotocol } },
              required: ["Sec-WebSocket-Protocol"]
            },
            bindingVersion: "0.1.0"
          }
        }
      }
    },
    operations: operationsOf(),
    components: { messages, schemas: asDraft7(schemas.definitions) }
  }
}
