/** The `ok` of an answer to each request in OpExamples, and errors: as they are on the wire. */
import { type ErrorCode, errorCodes, renderFailure } from "../ApiError.ts"
import type { answers, ErrorBody, OpName } from "../Frame.ts"
import { helloLimits, Limits } from "../Limits.ts"
import { eventExamples, userEventExamples } from "./EventExamples.ts"

const channel = "group:engineering"

/** How the channel stands for Linus when he has synced. */
export const headExample = {
  channel,
  generation: 1,
  seq: 5,
  n: 1,
  name: "Engineering",
  topic: "What we build, and why",
  members: 3,
  role: "member",
  fanout: "write",
  cursor: { generation: 0, seq: 2 },
  unread: 1,
  mentions: 1,
  last: { ...eventExamples.message, text: eventExamples.edit.text, edited: 5 }
} as const

export const answerExamples = {
  hello: {
    user: "linus",
    device: "linus-laptop-7f3a",
    server_time: 1795528826003,
    heartbeat_ms: Limits.heartbeatMs,
    session: { generation: 1, seq: 12 },
    expires_at: 1795615200000,
    limits: helloLimits
  },
  ping: { server_time: 1795528838004 },
  sync: {
    session: { generation: 1, seq: 12 },
    reload: false,
    personal: [userEventExamples.mentioned],
    channels: [
      {
        head: headExample,
        from: 2,
        to: 5,
        events: [
          eventExamples.updated,
          { ...eventExamples.message, text: eventExamples.edit.text, edited: 5 },
          eventExamples.edit
        ],
        reload: false
      }
    ],
    lost: [],
    more: null
  },
  watch: { head: headExample },
  unwatch: {},
  send: { channel, seq: 6, n: 2, at: 1795528830055 },
  edit: { channel, seq: 7, at: 1795528831502 },
  delete: { channel, seq: 8, at: 1795528841077 },
  delivered: {},
  read: { cursor: { generation: 0, seq: 6 }, unread: 0, mentions: 0, head: 6 },
  mark_unread: { cursor: { generation: 13, seq: 3 }, unread: 1, mentions: 1, head: 6, user_seq: 13 },
  typing: {},
  presence_set: {},
  presence_watch: {
    shards: [
      { shard: 11, epoch: 4, n: 918 },
      { shard: 52, epoch: 2, n: 4077 }
    ],
    users: [
      { user: "ada", state: "online", last_seen: null },
      { user: "grace", state: "offline", last_seen: 1795525200000 }
    ]
  },
  foreground: {},
  background: {},
  create: { channel, seq: 1, at: 1795528800012, generation: 1 },
  update: { channel, seq: 3, at: 1795528809140 },
  join: { channel: "public:lobby", seq: 812, at: 1795528875101 },
  leave: { channel, seq: 9, at: 1795528852019 },
  add_members: { channel, seq: 2, at: 1795528804230 },
  remove_members: { channel, seq: 11, at: 1795528890044 },
  history: {
    channel,
    generation: 1,
    from: 3,
    to: 6,
    events: [
      { ...eventExamples.message, text: eventExamples.edit.text, edited: 5 },
      {
        seq: 6,
        at: 1795528830055,
        by: "linus",
        kind: "message",
        cid: "01a20ddb-ac30-7146-8e84-5d4c2b1a0f66",
        n: 2,
        text: "",
        edited: 7,
        deleted: 8
      }
    ],
    before: false,
    after: false
  }
} as const satisfies { readonly [Name in OpName]: (typeof answers)[Name]["Encoded"] }

/** What the server says besides the text of the table, where it says more. */
const details: { readonly [Code in ErrorCode]?: string } = {
  invalid: "text is empty or only white space",
  forbidden: "only the author may edit a message",
  conflict: "the channel exists already"
}

/** An `error` of each code. */
export const errorExamples: { readonly [Code in ErrorCode]: (typeof ErrorBody)["Encoded"] } = Object.fromEntries(
  errorCodes.map((code) => {
    const detail = details[code]
    return [
      code,
      renderFailure({
        code,
        ...(detail === undefined ? {} : { detail }),
        ...(code === "id_ahead" ? { server_time: 1795528826003 } : {}),
        ...(code === "rate_limited" ? { retry_after_ms: 2_000 } : {})
      })
    ]
  })
  // fromEntries forgets the keys; there is one entry a code.
) as { readonly [Code in ErrorCode]: (typeof ErrorBody)["Encoded"] }
