/**
 * JSON Schemas of the protocol for documents: one set of shared definitions, in the form people write by hand. Two
 * schemas of one name must be the same.
 */
import { isDeepStrictEqual } from "node:util"
import { Schema } from "effect"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Any data as JSON; what JSON can't say is gone. */
export const toJson = (value: unknown): Json => JSON.parse(JSON.stringify(value))

const annotations = new Set(["description", "title", "examples"])

/**
 * `{allOf: [{$ref}, {description}]}` and the like become one object, as JSON Schema since 2019 allows. Objects stay
 * open, because whoever reads a frame ignores the fields he does not know.
 */
export const tidy = (schema: Json): Json => {
  if (Array.isArray(schema)) return schema.map(tidy)
  if (!isObject(schema)) return schema
  const { additionalProperties, allOf, ...rest } = schema
  const open = typeof additionalProperties === "boolean" || additionalProperties === undefined
  const own = Object.fromEntries(
    Object.entries(open ? rest : { ...rest, additionalProperties }).map(([key, value]) => [key, tidy(value)])
  )
  if (!Array.isArray(allOf)) return own
  const parts = allOf.map(tidy).filter(isObject)
  const mergeable = parts.every(
    (part) => Object.keys(own).length === 0 || Object.keys(part).every((key) => annotations.has(key) || !(key in own))
  )
  if (!mergeable) return { ...own, allOf: parts }
  // Later parts describe the field, earlier ones the value: the field's words win.
  return parts.reduce((merged, part) => ({ ...merged, ...part }), own)
}

/** Where documents keep definitions. */
const refBase = "#/components/schemas/"
export const refName = (schema: JsonObject): string | undefined => {
  const ref = schema["$ref"]
  return typeof ref === "string" ? ref.slice(ref.lastIndexOf("/") + 1) : undefined
}

const withRefs = (schema: Json): Json => {
  if (Array.isArray(schema)) return schema.map(withRefs)
  if (!isObject(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) =>
      key === "$ref" && typeof value === "string" ? [key, value.replace("#/$defs/", refBase)] : [key, withRefs(value)]
    )
  )
}

export class JsonSchemas {
  readonly #definitions = new Map<string, Json>()

  /** The schema's wire side; what has an identifier is a reference to a definition. */
  of(schema: Schema.Top): JsonObject {
    const document = Schema.toJsonSchemaDocument(schema)
    for (const [name, definition] of Object.entries(document.definitions)) this.define(name, toJson(definition))
    const tidied = withRefs(tidy(toJson(document.schema)))
    if (!isObject(tidied)) throw new Error("a schema of the wire is an object")
    return tidied
  }

  define(name: string, definition: Json): void {
    const tidied = withRefs(tidy(definition))
    const known = this.#definitions.get(name)
    if (known !== undefined && !isDeepStrictEqual(known, tidied)) throw new Error(`two schemas are called ${name}`)
    this.#definitions.set(name, tidied)
  }

  definition(name: string): JsonObject {
    const found = this.#definitions.get(name)
    if (!isObject(found)) throw new Error(`no schema is called ${name}`)
    return found
  }

  /** All definitions, by name. */
  get definitions(): JsonObject {
    return Object.fromEntries([...this.#definitions].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }
}
