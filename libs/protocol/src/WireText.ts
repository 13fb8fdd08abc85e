/**
 * Bodies travel as *wire text*: UTF-8 bytes held in a one-byte string (each char is one byte). V8 keeps, concatenates
 * and writes such strings fastest, and nothing is encoded twice between log and socket. Watched by the `fanout` and
 * `send` benches. No imports but Node's Buffer: server only.
 */

/** UTF-8 JSON as a one-byte string. */
export type WireText = string

// Anything beyond one byte needs the detour through UTF-8; most text does not.
// oxlint-disable-next-line no-control-regex
const ascii = /^[\x00-\x7f]*$/

/** Encodes a string (as `JSON.stringify` makes it) to wire text. */
export const toWire = (text: string): WireText =>
  ascii.test(text) ? text : Buffer.from(text, "utf8").toString("latin1")
/** The string that wire text stands for. */
export const fromWire = (wire: WireText): string =>
  ascii.test(wire) ? wire : Buffer.from(wire, "latin1").toString("utf8")
