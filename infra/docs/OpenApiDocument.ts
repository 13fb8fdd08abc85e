/**
 * docs/openapi.json: OpenAPI 3.1 of the HTTP API, as Effect derives it from the schemas, with what a reader needs
 * besides: numbers in paths and queries as numbers, the header of API-key callers, and an example of every call.
 */
import { ParleyApi, userHeader } from "@parley/protocol/HttpApi"
import { UserId } from "@parley/protocol/Ids"
import { type HttpExample, httpExamples } from "@parley/protocol/examples/HttpExamples"
import { OpenApi } from "effect/http-api"
import { type Endpoint, endpoints } from "./HttpEndpoints.ts"
import { isObject, type Json, type JsonObject, JsonSchemas, tidy, toJson } from "./JsonSchemas.ts"

const examples: Readonly<Record<string, HttpExample>> = httpExamples

const objectAt = (parent: JsonObject, key: string): JsonObject => {
  const found = parent[key]
  if (!isObject(found)) throw new Error(`the OpenAPI document has no object "${key}"`)
  return found
}
const mapObject = (parent: JsonObject, change: (value: JsonObject, key: string) => Json): JsonObject =>
  Object.fromEntries(Object.entries(parent).map(([key, value]) => [key, isObject(value) ? change(value, key) : value]))

export const openApiDocument = (): JsonObject => {
  const schemas = new JsonSchemas()
  const spec = tidy(toJson(OpenApi.fromApi(ParleyApi)))
  if (!isObject(spec)) throw new Error("an OpenAPI document is an object")
  schemas.of(UserId)
  const paths = mapObject(objectAt(spec, "paths"), (item) =>
    mapObject(item, (operation) => withExamples(operation, schemas))
  )
  const { securitySchemes, schemas: declared } = objectAt(spec, "components")
  if (!isObject(declared)) throw new Error("an OpenAPI document has schemas")
  for (const [name, definition] of Object.entries(declared))
    if (!name.endsWith("Encoded")) schemas.define(name, definition)
  return {
    ...spec,
    servers: [
      { url: "http://127.0.0.1:8080", description: "A node on this machine; a deployment has its own address." }
    ],
    paths,
    components: { schemas: schemas.definitions, securitySchemes: lowerCase(securitySchemes) }
  }
}

/** Tools know `bearer`, not `Bearer`. */
const lowerCase = (schemes: Json | undefined): Json =>
  mapObject(isObject(schemes) ? schemes : {}, (scheme) => ({
    ...scheme,
    scheme: String(scheme["scheme"]).toLowerCase()
  }))

const withExamples = (operation: JsonObject, schemas: JsonSchemas): Json => {
  const name = operation["operationId"]
  const endpoint = endpoints.find((endpoint) => endpoint.name === name)
  const example = typeof name === "string" ? examples[name] : undefined
  if (endpoint === undefined || example === undefined) throw new Error(`no example of ${String(name)}`)
  const { requestBody, responses, ...rest } = operation
  return {
    ...rest,
    parameters: parametersOf(operation, endpoint, example, schemas),
    ...(isObject(requestBody) ? { requestBody: withExample(requestBody, example.request) } : {}),
    responses: mapObject(isObject(responses) ? responses : {}, (response, status) =>
      status === `${example.status}` ? withExample(response, example.answer) : response
    )
  }
}

const withExample = (body: JsonObject, example: unknown): JsonObject => ({
  ...body,
  content: mapObject(objectAt(body, "content"), (media) => ({ ...media, example: toJson(example) }))
})

/** The declared parameters in the types that handlers see, and the header of API-key callers. */
const parametersOf = (operation: JsonObject, endpoint: Endpoint, example: HttpExample, schemas: JsonSchemas): Json => {
  const declared = operation["parameters"]
  const fields = fieldsOf(endpoint, schemas)
  const shown = valuesOf(endpoint, example)
  const typed = (Array.isArray(declared) ? declared.filter(isObject) : []).map((parameter) => {
    const name = String(parameter["name"])
    const { description, ...schema } = objectAt(fields, name)
    const value = shown.get(name)
    return {
      ...parameter,
      ...(description === undefined ? {} : { description }),
      schema,
      ...(value === undefined ? {} : { example: value })
    }
  })
  const { security } = operation
  if (!Array.isArray(security) || security.length === 0) return typed
  const header = {
    name: userHeader,
    in: "header",
    required: false,
    description: "With an API key: the user the call acts for. Ignored with a user's own token.",
    schema: schemas.of(UserId)
  }
  return [...typed, header]
}

const fieldsOf = ({ params, query }: Endpoint, schemas: JsonSchemas): JsonObject => {
  const fields = [params, query].map((schema) =>
    schema === undefined ? {} : objectAt(schemas.of(schema), "properties")
  )
  return Object.assign({}, ...fields)
}

/** What path and query of the example say. */
const valuesOf = (endpoint: Endpoint, example: HttpExample): ReadonlyMap<string, string> => {
  const [path = "", query] = example.path.split("?")
  const parts = path.split("/")
  const named = endpoint.path
    .split("/")
    .flatMap((name, place): ReadonlyArray<[string, string]> =>
      name.startsWith(":") ? [[name.slice(1), parts[place] ?? ""]] : []
    )
  return new Map([...named, ...new URLSearchParams(query)])
}
