/**
 * A small run in which everything went well, as the checker gets it: three users, one channel, a message edited, one
 * deleted, a member removed and brought back. Tests spoil one thing of it at a time.
 */
import {
  type ChannelEvent,
  ChannelEvent as ChannelEventSchema,
  type MessageEvent,
  type UserEvent,
  UserEvent as UserEventSchema
} from "@parley/protocol/Event"
import { Schema } from "effect"
import { type ChannelView, type FinalState, messageView } from "./FinalState.ts"
import type { Fact, Mutation, MutationOp, Seat } from "./History.ts"

export const channel = "group:red"

export interface Run {
  readonly history: ReadonlyArray<Fact>
  readonly final: FinalState
}

export const cidOfSeq = (seq: number): string => `01a20ddb-0000-7000-8000-${seq.toString(16).padStart(12, "0")}`

const base = (seq: number, by: string) => ({ seq, at: 1_000 + seq, by, cid: cidOfSeq(seq) })
const live = Schema.decodeUnknownSync(Schema.Array(ChannelEventSchema))([
  { ...base(1, "ana"), kind: "created", name: "red", topic: "", members: ["ana", "ben", "cleo"], fanout: "write" },
  { ...base(2, "ben"), kind: "message", n: 1, text: "one" },
  { ...base(3, "ana"), kind: "message", n: 2, text: "two" },
  { ...base(4, "ben"), kind: "edit", target: 2, text: "one, better" },
  { ...base(5, "ana"), kind: "removed", members: ["cleo"] },
  { ...base(6, "ben"), kind: "message", n: 3, text: "three" },
  { ...base(7, "ana"), kind: "delete", target: 3 },
  { ...base(8, "ana"), kind: "added", members: ["cleo"] },
  { ...base(9, "ana"), kind: "message", n: 4, text: "four" }
])

/** Each was added at 1; one was removed at 5 and added at 8. */
export const personal = (user: string): ReadonlyArray<UserEvent> =>
  Schema.decodeUnknownSync(Schema.Array(UserEventSchema))([
    { user_seq: 1, at: 1_001, kind: "added", channel, seq: 1 },
    ...(user === "cleo"
      ? [
          { user_seq: 2, at: 1_005, kind: "removed", channel, seq: 5 },
          { user_seq: 3, at: 1_008, kind: "added", channel, seq: 8 }
        ]
      : [])
  ])

export const eventAt = (seq: number): ChannelEvent => live[seq - 1]!

const ops: Readonly<Record<string, MutationOp>> = {
  created: "create",
  message: "send",
  edit: "edit",
  delete: "delete",
  removed: "remove_members",
  added: "add_members"
}

const seats: Readonly<Record<string, Seat>> = {
  ana: { user: "ana", device: "ana-1", connection: 1 },
  ben: { user: "ben", device: "ben-1", connection: 2 },
  cleo: { user: "cleo", device: "cleo-1", connection: 3 }
}

const mutationOf = (event: ChannelEvent): Mutation => ({
  op: ops[event.kind]!,
  channel,
  cid: cidOfSeq(event.seq),
  ...("text" in event ? { text: event.text } : {})
})

const shown = (
  user: string,
  how: "live" | "sync" | "history",
  from: number,
  to: number,
  events: ReadonlyArray<ChannelEvent>
): Fact => ({ ...seats[user]!, _tag: "Shown", how, channel, from, to, events })

/** Who is asked and told of one event: its author gets the ack, the members of that moment see it. */
const happens = (event: ChannelEvent): ReadonlyArray<Fact> => {
  const { at, by, seq } = event
  const author = seats[by]!
  const n = event.kind === "message" ? { n: event.n } : {}
  const watching = ["ana", "ben", ...(seq <= 5 ? ["cleo"] : [])].filter((user) => user !== by)
  return [
    { ...author, _tag: "Asked", mutation: mutationOf(event) },
    { ...author, _tag: "Acked", channel, cid: cidOfSeq(seq), seq, at, ...n },
    ...watching.map((user) => shown(user, "live", seq - 1, seq, [event]))
  ]
}

const current = (event: ChannelEvent): ChannelEvent =>
  event.seq === 2 && event.kind === "message"
    ? { ...event, text: "one, better", edited: 4 }
    : event.seq === 3 && event.kind === "message"
      ? { ...event, text: "", deleted: 7 }
      : event

export const goodRun = (): Run => {
  const events = live.map(current)
  const messages = events.filter((event): event is MessageEvent => event.kind === "message")
  const history: ReadonlyArray<Fact> = [
    ...live.flatMap(happens),
    { ...seats["cleo"]!, connection: 4, _tag: "Shown", how: "sync", channel, from: 8, to: 9, events: [eventAt(9)] },
    { ...seats["cleo"]!, connection: 4, _tag: "Personal", how: "sync", position: 3, events: personal("cleo") },
    shown("ben", "history", 0, 9, messages),
    { ...seats["ben"]!, _tag: "Marked", channel, cursor: { generation: 0, seq: 6 } },
    { ...seats["ben"]!, _tag: "Personal", how: "live", position: 1, events: personal("ben") }
  ]
  const view = (unread: number, cursor: number): ChannelView => ({
    seq: 9,
    n: 4,
    name: "red",
    members: 3,
    unread,
    mentions: 0,
    cursor: { generation: 0, seq: cursor },
    last: messageView(messages[3]!)
  })
  const users = [
    { user: "ana", session: 1, personal: personal("ana"), channels: new Map([[channel, view(2, 0)]]) },
    { user: "ben", session: 1, personal: personal("ben"), channels: new Map([[channel, view(1, 6)]]) },
    { user: "cleo", session: 3, personal: personal("cleo"), channels: new Map([[channel, view(1, 0)]]) }
  ]
  return {
    history,
    final: {
      channels: [{ channel, head: 9, n: 4, events, messages }],
      unreadable: [],
      fresh: users,
      devices: users.map((user) => ({
        ...user,
        device: `${user.user}-1`,
        held: new Map([[channel, messages.slice(user.user === "cleo" ? 3 : 0).map(messageView)]])
      }))
    }
  }
}
