/**
 * From bytes to a decoded op, or to what is wrong with them. JSON deeper than `Limits.jsonDepthMax` is refused before it
 * is parsed; what is parsed is checked by the op's schema, whose decoder is built once. Own properties only, so a
 * `__proto__` or `constructor` in a frame is a field like any other that nobody reads.
 * Plain TypeScript on the hot path: bench `send`.
 */
import { Exit, Schema } from "effect"
import { type Op, type OpName, ops } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import { readSync } from "./SyncFrame.ts"
import { toWire, type WireText } from "@parley/protocol/WireText"
import { type ApiFailure, renderFailure } from "@parley/protocol/ApiError"

/** Longest sentence about a wrong field. */
const detailCharsMax = 200

/** A frame that can be answered: its other fields are not looked at yet. */
export interface Frame {
  readonly _tag: "Frame"
  readonly id: number
  readonly op: string
  readonly value: object
  /** All of it again: what has to wait long is better one string than many objects. */
  readonly text: string
}

const malformed = { _tag: "Malformed" } as const

/** Reads a text frame as far as `id` and `op`. */
export const parseFrame = (text: string): Frame | { readonly _tag: "Malformed" } => {
  if (tooDeep(text)) return malformed
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return malformed
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return malformed
  const id: unknown = Object.hasOwn(value, "id") ? Reflect.get(value, "id") : undefined
  // A request without a usable id can't be answered.
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return malformed
  const op: unknown = Object.hasOwn(value, "op") ? Reflect.get(value, "op") : undefined
  return { _tag: "Frame", id, op: typeof op === "string" ? op : "", value, text }
}

/** A frame with few brackets can't be deep; only others are scanned. */
const tooDeep = (text: string): boolean => {
  let at = -1
  let brackets = 0
  while (brackets <= Limits.jsonDepthMax && (at = text.indexOf("[", at + 1)) >= 0) brackets++
  at = -1
  while (brackets <= Limits.jsonDepthMax && (at = text.indexOf("{", at + 1)) >= 0) brackets++
  return brackets > Limits.jsonDepthMax && depthOf(text) > Limits.jsonDepthMax
}

const quote = 0x22
const backslash = 0x5c

const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (inString) {
      if (char === backslash) i++
      else if (char === quote) inString = false
    } else if (char === quote) inString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > deepest) deepest = depth
    } else if (char === 0x5d || char === 0x7d) depth--
  }
  return deepest
}

const decoders = new Map<string, (value: unknown) => Exit.Exit<Op, Schema.SchemaError>>(
  Object.entries(ops).map(([name, schema]) => [name, Schema.decodeUnknownExit(schema)])
)

export const isOp = (name: string): name is OpName => decoders.has(name)

/** The op's fields, checked; or a failure that names the field. */
export const decodeOp = (name: OpName, value: object): { readonly frame: Op } | { readonly failure: ApiFailure } => {
  const positions = name === "sync" ? readSync(value) : undefined
  if (positions !== undefined) return { frame: positions }
  const exit = decoders.get(name)?.(value)
  if (exit !== undefined && Exit.isSuccess(exit)) return { frame: exit.value }
  return { failure: { code: "invalid", detail: exit === undefined ? "" : detailOf(exit) } }
}

const detailOf = (exit: Exit.Failure<Op, Schema.SchemaError>): string => {
  const reason = exit.cause.reasons[0]
  const text = reason !== undefined && reason._tag === "Fail" ? reason.error.message : "a field is wrong"
  const line = text.replaceAll(/\s*\n\s*/g, " ")
  return line.length > detailCharsMax ? `${line.slice(0, detailCharsMax)}…` : line
}

export const okFrame = (re: number, ok: WireText): WireText => `{"re":${re},"ok":${ok}}`

export const errorFrame = (re: number, failure: ApiFailure): WireText =>
  `{"re":${re},"error":${toWire(JSON.stringify(renderFailure(failure)))}}`
