/** A JSON Schema as HTML for the page of the HTTP API. All text is escaped; back-quoted words become code. */
import { isObject, type Json, type JsonObject, refName } from "./JsonSchemas.ts"

export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
export const inline = (text: string): string => escape(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>")

const bounds: ReadonlyArray<readonly [string, string]> = [
  ["minimum", "at least"],
  ["maximum", "at most"],
  ["minLength", "characters at least"],
  ["maxLength", "characters at most"],
  ["minItems", "items at least"],
  ["maxItems", "items at most"]
]

const boundText = (schema: JsonObject): string =>
  bounds
    .flatMap(([key, words]) => {
      const value = schema[key]
      return typeof value === "number" && Math.abs(value) !== Number.MAX_SAFE_INTEGER ? [`${words} ${value}`] : []
    })
    .join(", ")

/** A type in few words, references as links. */
export const typeText = (schema: Json): string => {
  if (!isObject(schema)) return "any"
  const name = refName(schema)
  if (name !== undefined) return `<a href="#schema-${name}">${name}</a>`
  const { anyOf, enum: values, items, oneOf, type } = schema
  const union = anyOf ?? oneOf
  if (Array.isArray(union)) return union.map(typeText).join(" or ")
  if (Array.isArray(values)) return values.map((value) => `<code>${escape(JSON.stringify(value))}</code>`).join(" or ")
  const base =
    type === "array"
      ? `array of ${items === undefined ? "any" : typeText(items)}`
      : typeof type === "string"
        ? type
        : "any"
  const limits = boundText(schema)
  return limits === "" ? base : `${base}, ${limits}`
}

const fieldRows = (schema: JsonObject, prefix: string): ReadonlyArray<string> => {
  const properties = schema["properties"]
  const required = schema["required"]
  if (!isObject(properties)) return []
  return Object.entries(properties).flatMap(([name, field]) => {
    const must = Array.isArray(required) && required.includes(name)
    const description = isObject(field) && typeof field["description"] === "string" ? field["description"] : ""
    const row = `<tr><td><code>${escape(prefix + name)}</code></td><td>${typeText(field)}</td><td>${must ? "yes" : "no"}</td><td>${inline(description)}</td></tr>`
    return [row, ...innerRows(field, prefix + name)]
  })
}

const innerRows = (field: Json, path: string): ReadonlyArray<string> => {
  if (!isObject(field) || refName(field) !== undefined) return []
  const { items, type } = field
  return type === "array" && items !== undefined ? innerRows(items, `${path}[]`) : fieldRows(field, `${path}.`)
}

/** A schema with its words, pattern and fields. */
export const schemaBlock = (schema: Json): string => {
  if (!isObject(schema)) return ""
  const description = schema["description"]
  const words = typeof description === "string" ? `<p>${inline(description)}</p>` : ""
  const pattern = schema["pattern"]
  const shape = typeof pattern === "string" ? `<pre><code>${escape(pattern)}</code></pre>` : ""
  const rows = fieldRows(schema, "")
  if (rows.length === 0) return `${words}<p>${typeText(schema)}</p>${shape}`
  return `${words}<table><tr><th>field</th><th>type</th><th>required</th><th>meaning</th></tr>\n${rows.join("\n")}\n</table>`
}
