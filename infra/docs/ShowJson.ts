/** JSON as the formatter of this project writes it: what fits a line stays on it. */
import { isObject, type Json } from "./JsonSchemas.ts"

const width = 120

/** `before`: columns taken on the line already; `after`: columns of what follows on it (a comma). */
export const show = (value: Json, indent = "", before = 0, after = 0): string => {
  const flat = flatten(value)
  const fits = Math.max(before, indent.length) + flat.length + after <= width && !breaks(value)
  const more = `${indent}  `
  const comma = (place: number, count: number) => (place < count - 1 ? 1 : 0)
  if (fits) return flat
  if (Array.isArray(value)) {
    const items = value.map((item, place) => more + show(item, more, more.length, comma(place, value.length)))
    return `[\n${items.join(",\n")}\n${indent}]`
  }
  if (!isObject(value)) return flat
  const entries = Object.entries(value)
  const lines = entries.map(([key, inner], place) => {
    const start = `${more}${JSON.stringify(key)}: `
    return start + show(inner, more, start.length, comma(place, entries.length))
  })
  return `{\n${lines.join(",\n")}\n${indent}}`
}

/** A list of several objects, or lists, is easier to read one a line; so is anything with such a list in it. */
const breaks = (value: Json): boolean => {
  if (Array.isArray(value)) {
    const listed = value.every((item) =>
      Array.isArray(item) ? item.length > 1 : isObject(item) && Object.keys(item).length > 1
    )
    return (value.length > 1 && listed && new Set(value.map(Array.isArray)).size === 1) || value.some(breaks)
  }
  return isObject(value) && Object.values(value).some(breaks)
}

const flatten = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(flatten).join(", ")}]`
  if (!isObject(value)) return JSON.stringify(value)
  const fields = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${flatten(inner)}`)
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`
}
