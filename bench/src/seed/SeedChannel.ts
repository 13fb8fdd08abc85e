/**
 * One channel of a seeded data directory, as the product would have stored it: its events with the bodies that an owner
 * encodes, the directory's row, the members' stays. The bodies come from the product's own code.
 */
import { messageBody, plainBody } from "@parley/actors/channel/EventBody"
import { channelLimitsDefault } from "@parley/actors/channel/ChannelLimits"
import { Limits } from "@parley/protocol/Limits"
import type { ChannelRow, Membership } from "@parley/storage/Directory"
import type { StoredEvent } from "@parley/storage/MessageStore"

export interface SeedChannel {
  readonly id: string
  /** The first makes the channel. More than one change can take come in further events. */
  readonly members: ReadonlyArray<string>
  readonly messages: number
  /** Members that write, in turn, beginning with the first. */
  readonly senders: number
}

/** A client id of a moment: UUIDv7 whose random part is a counter. */
export const seedCid = (at: number, serial: number): string => {
  const time = at.toString(16).padStart(12, "0")
  const low = serial.toString(16).padStart(12, "0").slice(-12)
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${low}`
}

/** How long before now the first message of a seeded channel was sent: well within the window of client ids. */
const seededAgoMs = 3_600_000

export const seedText = (n: number): string => `message ${n} of a channel that was here before the bench began`

export interface SeededChannel {
  readonly row: ChannelRow
  readonly members: ReadonlyArray<Membership>
}

/** All of a channel's events, or what it begins with, or the messages that follow on that. */
export type SeedPart = "all" | "beginning" | "messages"

/** Yields the part's events in order, and returns the row as of its last one, and the stays. */
export function* seedChannel(
  channel: SeedChannel,
  serial: () => number,
  part: SeedPart = "all"
): Generator<StoredEvent, SeededChannel> {
  const { id, members, senders } = channel
  const messages = part === "beginning" ? 0 : channel.messages
  const by = members[0] ?? "nobody"
  const createdAt = Date.now() - seededAgoMs
  const stays: Array<Membership> = []
  let seq = 0
  let n = 0
  const event = (kind: string, sender: string, cid: string, at: number, body: string): StoredEvent => {
    const bodyHash = cid === "" ? "" : "seed"
    return { channel: id, generation: 1, seq, kind, at, by: sender, cid, bodyHash, n, target: 0, body }
  }
  const plain = (kind: string, cid: string, fields: { readonly [field: string]: unknown }): StoredEvent => {
    const own = cid === "" ? {} : { cid }
    return event(kind, by, cid, createdAt, plainBody({ seq, at: createdAt, by, kind, ...own, ...fields }))
  }
  for (let from = 0; from < members.length; from += Limits.membersPerChangeMax) {
    const users = members.slice(from, from + Limits.membersPerChangeMax)
    seq++
    if (part !== "messages") {
      const cid = seedCid(createdAt, serial())
      yield seq === 1
        ? plain("created", cid, { name: "bench", topic: "", members: users, fanout: "write" })
        : plain("added", cid, { members: users })
    }
    for (const user of users) {
      stays.push({ channel: id, user, role: user === by ? "owner" : "member", from: seq, to: null, seq })
    }
  }
  const fanout = members.length > channelLimitsDefault.fanoutThreshold ? "read" : "write"
  if (fanout === "read") {
    seq++
    if (part !== "messages") yield plain("fanout", "", { fanout })
  }
  for (let i = 0; i < messages; i++) {
    seq++
    n++
    // Times go on, so that client ids stay in order.
    const at = createdAt + Math.floor((i * (seededAgoMs - 60_000)) / messages)
    const sender = members[i % Math.max(1, senders)] ?? by
    const cid = seedCid(at, serial())
    yield event("message", sender, cid, at, messageBody({ seq, at, by: sender, cid, n }, seedText(n), [], 0, 0))
  }
  const head = { generation: 1, seq, n, createdAt, members: members.length, idBound: 0 }
  return { row: { channel: id, ...head, name: "bench", topic: "", fanout }, members: stays }
}
