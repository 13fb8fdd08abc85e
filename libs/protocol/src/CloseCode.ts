/**
 * Why the server closes a WebSocket, and what the client does then. The ranges steer a client that does not know a
 * code (an idea of Centrifugo's): 4000-4099 connect again with backoff, 4100-4199 connect again after the delay in the
 * reason, 4200-4299 with a new token, 4300-4399 stop. No imports: the client bundle uses it.
 */
export const closeTable = {
  slow_consumer: { code: 4000, then: "reconnect", text: "The client read too slowly; it resumes by sync." },
  idle: { code: 4001, then: "reconnect", text: "Nothing was heard from the client for too long." },
  lost_place: {
    code: 4002,
    then: "reconnect",
    text: "The edge lost its place in a channel; the client resumes by sync."
  },
  replaced: { code: 4003, then: "reconnect", text: "The edge restarts this connection." },
  draining: { code: 4100, then: "delay", text: "The server is going away; the reason holds the milliseconds to wait." },
  overloaded: {
    code: 4101,
    then: "delay",
    text: "The server takes no more connections now; the reason holds the milliseconds to wait."
  },
  unauthenticated: { code: 4200, then: "token", text: "The token is missing, invalid or signed by an unknown key." },
  token_expired: { code: 4201, then: "token", text: "The token has expired." },
  revoked: { code: 4202, then: "token", text: "The session was revoked." },
  hello_timeout: { code: 4300, then: "stop", text: "No hello came in time." },
  malformed: { code: 4301, then: "stop", text: "A frame was no JSON object, or the first one no hello." },
  binary: { code: 4302, then: "stop", text: "Binary frames are not part of parley.v1.json." },
  too_large: { code: 4303, then: "stop", text: "A frame was larger than hello's limit." },
  flood: { code: 4304, then: "stop", text: "The client went on after many refusals for its rate." },
  forbidden: { code: 4305, then: "stop", text: "This user or origin may not connect." }
} as const

export type CloseName = keyof typeof closeTable
export type CloseThen = (typeof closeTable)[CloseName]["then"]

/** What to do after any close code, also one this table does not have. */
export const afterClose = (code: number): CloseThen =>
  code >= 4100 && code < 4200
    ? "delay"
    : code >= 4200 && code < 4300
      ? "token"
      : code >= 4300 && code < 4400
        ? "stop"
        : "reconnect"
