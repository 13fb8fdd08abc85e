/** One realistic push of each kind, as it is on the wire. */
import type { PushName, pushes } from "../Frame.ts"
import { headExample } from "./AnswerExamples.ts"
import { eventExamples, userEventExamples } from "./EventExamples.ts"

const channel = "group:engineering"

export const pushExamples = {
  event: { ev: "event", channel, from: 3, to: 4, event: eventExamples.message },
  covered: { ev: "covered", channel, from: 5, to: 9 },
  personal: { ev: "personal", event: userEventExamples.mentioned },
  channel: {
    ev: "channel",
    sync: {
      head: { ...headExample, seq: 2, n: 0, topic: "What we build", unread: 0, mentions: 0, last: null },
      from: 1,
      to: 2,
      events: [eventExamples.added],
      reload: false
    }
  },
  cursor: { ev: "cursor", channel, cursor: { generation: 0, seq: 6 }, unread: 0, mentions: 0, head: 6 },
  typing: { ev: "typing", channel, user: "grace", on: true, ttl_ms: 6_000 },
  receipt: { ev: "receipt", channel, user: "grace", delivered: 6, read: 5 },
  presence: {
    ev: "presence",
    shard: 52,
    epoch: 2,
    n: 4078,
    users: [{ user: "grace", state: "online", last_seen: null }]
  },
  drain: { ev: "drain", after_ms: 3_140 }
} as const satisfies { readonly [Name in PushName]: (typeof pushes)[Name]["Encoded"] }
