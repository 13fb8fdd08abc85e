/**
 * A cold channel's snapshot out of the store's rows: what a channel starts from that is neither warm nor checkpointed.
 * All of it is at or below the floor. Row and events may be of different seqs when the persister was stopped between
 * the two; the state then stands at the smaller one, and the log's replay repeats the rest.
 */
import { Limits } from "@parley/protocol/Limits"
import type { ChannelRow, Membership } from "@parley/storage/Directory"
import type { MemberRow, MembersSnapshot } from "./Members.ts"
import type { ChannelSnapshot } from "./Snapshot.ts"
import { endingAt, type StoredEvents, storedForm, storedTailEvent } from "./Tail.ts"

export interface StoredHead {
  readonly generation: number
  readonly seq: number
  readonly n: number
}

/** Of the event at the head, where that is a message. */
export interface HeadMessage {
  readonly at: number
  readonly by: string
}

interface StoredMembers {
  readonly owners: ReadonlyArray<string>
  readonly snapshot: MembersSnapshot
}

/**
 * `stays`: all of them, by user, then `from`; undefined: too many to load. `headMessage` says when the head was where no
 * event is given.
 */
export const storedSnapshot = (
  row: ChannelRow,
  storedHead: StoredHead,
  stays: ReadonlyArray<Membership> | undefined,
  events: StoredEvents,
  headMessage?: HeadMessage
): ChannelSnapshot => {
  const head = row.seq < storedHead.seq ? row : storedHead
  const tail = endingAt(head.seq, events).map((event) => storedTailEvent(event.body))
  const newest = tail.at(-1) ?? (head === storedHead ? headMessage : undefined)
  const message = tail.findLast((event) => event.kind === "message")
  const members = storedMembers(row.members, stays)
  return {
    channel: row.channel,
    generation: head.generation,
    seq: head.seq,
    n: head.n,
    at: newest?.at ?? row.createdAt,
    by: newest?.by ?? "",
    floor: head.seq,
    settings: {
      exists: true,
      name: row.name,
      topic: row.topic,
      fanout: row.fanout,
      createdAt: row.createdAt,
      members: row.members,
      owners: members.owners
    },
    members: members.snapshot,
    window: { bound: Math.max(row.idBound, idBoundOf(newest)), ids: [] },
    tail,
    last: message === undefined ? null : storedForm(message)
  }
}

/**
 * The bound of the window that a cold channel no longer has (†29): no id it took is more than the permitted advance
 * after its last event's time, for its times never go back. Without that event every id is looked up.
 */
const idBoundOf = (newest: { readonly at: number } | undefined): number =>
  newest === undefined ? Number.MAX_SAFE_INTEGER : newest.at + Limits.clientIdAheadMsMax

/** `stays` are by user, then `from`. A page of the rows that is not all of them must not pass for all. */
const storedMembers = (count: number, stays: ReadonlyArray<Membership> | undefined): StoredMembers => {
  const rows: Array<MemberRow> = []
  const owners: Array<string> = []
  let present = 0
  const known = stays ?? []
  for (let at = 0; at < known.length;) {
    const user = known[at]?.user ?? ""
    const past: Array<number> = []
    let joined = 0
    for (let stay = known[at]; stay?.user === user; stay = known[++at]) {
      if (stay.to !== null) past.push(stay.from, stay.to)
      else {
        joined = stay.from
        if (stay.role === "owner") owners.push(user)
      }
    }
    if (joined > 0) present++
    rows.push([user, joined, past, 1])
  }
  const all = stays !== undefined && present === count
  return { owners, snapshot: { count, resident: all, allRecorded: all, rows } }
}
