/** One realistic request of each op, as it is on the wire. */
import type { OpName, ops } from "../Frame.ts"

const channel = "group:engineering"

export const opExamples = {
  hello: {
    id: 1,
    op: "hello",
    token:
      "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJsaW51cyIsImlhdCI6MTc5NTUyODgwMCwiZXhwIjoxNzk1NjE1MjAwfQ.c2lnbmF0dXJl",
    device: "linus-laptop-7f3a",
    client: "parley-web/0.1.0"
  },
  ping: { id: 2, op: "ping" },
  sync: { id: 3, op: "sync", channels: [[channel, 1, 2]], session: { generation: 1, seq: 11 } },
  watch: { id: 4, op: "watch", channel },
  unwatch: { id: 5, op: "unwatch", channel },
  send: {
    id: 6,
    op: "send",
    cid: "01a20ddb-ac30-7146-8e84-5d4c2b1a0f66",
    channel,
    text: "Thanks @grace, I'll deploy it.",
    mentions: ["grace"],
    seen: 5
  },
  edit: {
    id: 7,
    op: "edit",
    cid: "01a20ddb-b1d8-7247-9e85-6d4c2b1a0f67",
    channel,
    target: 6,
    text: "Thanks @grace, I'll deploy it at noon.",
    mentions: ["grace"]
  },
  delete: { id: 8, op: "delete", cid: "01a20ddb-d728-7157-9f95-6e5d3c2b1a07", channel, target: 6 },
  delivered: { id: 9, op: "delivered", channel, seq: 6 },
  read: { id: 10, op: "read", channel, seq: 6 },
  mark_unread: { id: 11, op: "mark_unread", cid: "01a20ddb-ac30-7046-8e84-5d4c2b1a0f06", channel, seq: 3 },
  typing: { id: 12, op: "typing", channel, on: true },
  presence_set: { id: 13, op: "presence_set", state: "away" },
  presence_watch: { id: 14, op: "presence_watch", users: ["ada", "grace"] },
  foreground: { id: 15, op: "foreground" },
  background: { id: 16, op: "background" },
  create: {
    id: 17,
    op: "create",
    cid: "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e01",
    channel,
    name: "Engineering",
    topic: "What we build",
    members: ["grace"]
  },
  update: {
    id: 18,
    op: "update",
    cid: "01a20ddb-5a8c-7d13-8b51-2a1f9e8d7c03",
    channel,
    topic: "What we build, and why"
  },
  join: { id: 19, op: "join", cid: "01a20ddc-5bf8-7480-82c8-9b806f5e4d0a", channel: "public:lobby" },
  leave: { id: 20, op: "leave", cid: "01a20ddc-0220-7268-a0a6-7f6e4d3c2b08", channel },
  add_members: {
    id: 21,
    op: "add_members",
    cid: "01a20ddb-4768-7c02-9a40-1f0e8d7c6b02",
    channel,
    members: ["linus"]
  },
  remove_members: {
    id: 22,
    op: "remove_members",
    cid: "01a20ddc-9690-7591-93d9-ac917a6f5e0b",
    channel,
    members: ["grace"]
  },
  history: { id: 23, op: "history", channel, before: 7, limit: 2 }
} as const satisfies { readonly [Name in OpName]: (typeof ops)[Name]["Encoded"] }
