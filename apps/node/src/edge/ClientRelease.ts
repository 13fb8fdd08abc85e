/**
 * What this release says to clients, and what a test build (`--test-fault next-release`) says that stands for the next one:
 * a field more in every frame, a push that nobody knows, a subprotocol of its own for who offers that. So old and new
 * clients are seen at old and new nodes before there are two releases.
 */
import { subprotocol } from "@parley/protocol/Frame"
import type { WireText } from "@parley/protocol/WireText"

export const nextSubprotocol = "parley.v2.json"

let next = false

/** Answers what takes it back. */
export const speakNextToClients = (): (() => void) => {
  next = true
  return () => {
    next = false
  }
}

/** The payload of a frame as this release says it; a frame is never an empty object. */
export const spokenBy = (payload: WireText): WireText =>
  next && payload.startsWith("{") ? `{"next_release":[1,{"a":null}],${payload.slice(1)}` : payload

/** Said once a connection is live; undefined: nothing. */
export const pushAfterHello = (): WireText | undefined => (next ? '{"ev":"next_release","n":1}' : undefined)

/** The best that both know of those that a client offers. */
export const subprotocolOf = (offered: ReadonlySet<string>): string | undefined =>
  next && offered.has(nextSubprotocol) ? nextSubprotocol : offered.has(subprotocol) ? subprotocol : undefined
