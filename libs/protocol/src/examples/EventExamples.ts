/**
 * One realistic event of each kind, as it is on the wire: the documents show them and a test decodes them. Together
 * with the other examples they tell one story: Ada makes a channel, Grace and Linus talk in it.
 */
import type { ChannelEvent, EventKind, UserEvent } from "../Event.ts"

type ChannelEventOf<Kind> = Extract<(typeof ChannelEvent)["Encoded"], { readonly kind: Kind }>
type UserEventKind = UserEvent["kind"]
type UserEventOf<Kind> = Extract<(typeof UserEvent)["Encoded"], { readonly kind: Kind }>

export const eventExamples = {
  created: {
    seq: 1,
    at: 1795528800012,
    by: "ada",
    kind: "created",
    cid: "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e01",
    name: "Engineering",
    topic: "What we build",
    members: ["ada", "grace"],
    fanout: "write"
  },
  added: {
    seq: 2,
    at: 1795528804230,
    by: "ada",
    kind: "added",
    cid: "01a20ddb-4768-7c02-9a40-1f0e8d7c6b02",
    members: ["linus"]
  },
  updated: {
    seq: 3,
    at: 1795528809140,
    by: "ada",
    kind: "updated",
    cid: "01a20ddb-5a8c-7d13-8b51-2a1f9e8d7c03",
    topic: "What we build, and why"
  },
  message: {
    seq: 4,
    at: 1795528815331,
    by: "grace",
    kind: "message",
    cid: "01a20ddb-72c4-7e24-ac62-3b2a0f9e8d04",
    n: 1,
    text: "Good morning, @linus! The build is green \u{1f389}",
    mentions: ["linus"]
  },
  edit: {
    seq: 5,
    at: 1795528822048,
    by: "grace",
    kind: "edit",
    cid: "01a20ddb-8cf0-7f35-bd73-4c3b1a0f9e05",
    target: 4,
    text: "Good morning, @linus! The build is green again.",
    mentions: ["linus"]
  },
  delete: {
    seq: 8,
    at: 1795528841077,
    by: "linus",
    kind: "delete",
    cid: "01a20ddb-d728-7157-9f95-6e5d3c2b1a07",
    target: 6
  },
  removed: {
    seq: 9,
    at: 1795528852019,
    by: "linus",
    kind: "removed",
    cid: "01a20ddc-0220-7268-a0a6-7f6e4d3c2b08",
    members: ["linus"]
  },
  fanout: { seq: 10, at: 1795528860005, by: "ada", kind: "fanout", fanout: "read" }
} as const satisfies { readonly [Kind in EventKind]: ChannelEventOf<Kind> }

export const userEventExamples = {
  added: { user_seq: 11, at: 1795528804263, kind: "added", channel: "group:engineering", seq: 2 },
  mentioned: { user_seq: 12, at: 1795528815370, kind: "mentioned", channel: "group:engineering", seq: 4, by: "grace" },
  marked_unread: {
    user_seq: 13,
    at: 1795528830118,
    kind: "marked_unread",
    channel: "group:engineering",
    seq: 3,
    cid: "01a20ddb-ac30-7046-8e84-5d4c2b1a0f06"
  },
  removed: { user_seq: 14, at: 1795528852044, kind: "removed", channel: "group:engineering", seq: 9 },
  revoked: {
    user_seq: 15,
    at: 1795528875090,
    kind: "revoked",
    before: 1795528875,
    cid: "01a20ddc-5bf8-7379-b1b7-8a7f5e4d3c09"
  }
} as const satisfies { readonly [Kind in UserEventKind]: UserEventOf<Kind> }
