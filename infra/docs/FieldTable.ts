/** A JSON Schema as a table of fields for people: name, type with its limits, whether it must be there, meaning. */
import { isObject, type Json, type JsonObject, type JsonSchemas, refName } from "./JsonSchemas.ts"

/** `|` ends a cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")

export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [heads, heads.map(() => "---"), ...rows.map((row) => row.map(cell))].map((row) => `| ${row.join(" | ")} |`).join("\n")

/** The anchor that Markdown renderers give a heading. */
export const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-")

const link = (name: string): string => `[${name}](#${anchor(name)})`

const number = (schema: JsonObject, key: string): number | undefined => {
  const value = schema[key]
  return typeof value === "number" ? value : undefined
}

/** `1 to 100`, `at most 64`, `at least 1`, or nothing. */
const range = (min: number | undefined, max: number | undefined): string => {
  const bound = max === undefined || max === Number.MAX_SAFE_INTEGER ? undefined : max
  const least = min === Number.MIN_SAFE_INTEGER ? undefined : min
  if (bound === undefined) return least === undefined ? "" : `at least ${least}`
  return least === undefined || least === 0 ? `at most ${bound}` : `${least} to ${bound}`
}
const bounded = (what: string, bounds: string): string => (bounds === "" ? what : `${what}, ${bounds}`)

/** A schema in few words; references are links to their sections. */
export const typeOf = (schema: Json): string => {
  if (!isObject(schema)) return "any"
  const name = refName(schema)
  if (name !== undefined) return link(name)
  const { anyOf, enum: values, items, oneOf, prefixItems, type } = schema
  const union = anyOf ?? oneOf
  if (Array.isArray(union)) return union.map(typeOf).join(" or ")
  if (Array.isArray(values)) return values.map((value) => `\`${JSON.stringify(value)}\``).join(" or ")
  if (Array.isArray(prefixItems)) return `[${prefixItems.map(typeOf).join(", ")}]`
  switch (type) {
    case "array": {
      const of = items === undefined ? "" : ` of ${typeOf(items)}`
      return bounded(`array${of}`, range(number(schema, "minItems"), number(schema, "maxItems")))
    }
    case "string":
      return bounded("string", range(number(schema, "minLength"), number(schema, "maxLength")))
    case "integer":
      return bounded("integer", range(number(schema, "minimum"), number(schema, "maximum")))
    case "object":
      return isObject(schema["additionalProperties"]) ? `object of ${typeOf(schema["additionalProperties"])}` : "object"
    default:
      return typeof type === "string" ? type : "any"
  }
}

/** Objects written out in place have rows of their own: `lost[].seq`. */
const inner = (path: string, schema: Json): ReadonlyArray<ReadonlyArray<string>> => {
  if (!isObject(schema) || refName(schema) !== undefined) return []
  if (schema["type"] === "array" && schema["items"] !== undefined) return inner(`${path}[]`, schema["items"])
  return rowsOf(schema, `${path}.`)
}

const rowsOf = (schema: JsonObject, prefix: string): ReadonlyArray<ReadonlyArray<string>> => {
  const properties = schema["properties"]
  if (!isObject(properties)) return []
  const required = schema["required"]
  return Object.entries(properties).flatMap(([name, field]) => {
    const must = Array.isArray(required) && required.includes(name)
    const description = isObject(field) ? field["description"] : undefined
    const row = [
      `\`${prefix}${name}\``,
      typeOf(field),
      must ? "yes" : "no",
      typeof description === "string" ? description : ""
    ]
    return [row, ...inner(`${prefix}${name}`, field)]
  })
}

/** Fields that every frame of a kind has are left out by name; the meaning of a reference without words is its definition's. */
export const fieldTable = (schema: JsonObject, schemas: JsonSchemas, leftOut: ReadonlyArray<string> = []): string => {
  const skip = new Set(leftOut.map((name) => `\`${name}\``))
  const rows = rowsOf(schema, "")
    .filter(([name]) => name === undefined || !skip.has(name))
    .map(([name = "", type = "", must = "", meaning = ""]) => [name, type, must, meaning || meaningOf(type, schemas)])
  return rows.length === 0 ? "No fields." : table(["field", "type", "required", "meaning"], rows)
}

const meaningOf = (type: string, schemas: JsonSchemas): string => {
  const name = /^\[(\w+)\]\(#/.exec(type)?.[1]
  if (name === undefined) return ""
  const description = schemas.definition(name)["description"]
  return typeof description === "string" ? description : ""
}
