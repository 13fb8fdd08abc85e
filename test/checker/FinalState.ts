/**
 * What is there after everything has healed and nothing more is sent: each channel as its owner reads it, each user's
 * list as a fresh device gets it, and what the devices of the run hold by then without asking.
 */
import type { ChannelEvent, MessageEvent, UserEvent } from "@parley/protocol/Event"
import type { Position } from "@parley/protocol/Ids"

/** A channel read from its beginning by a device of a user who was in it all the time. */
export interface FinalChannel {
  readonly channel: string
  readonly head: number
  readonly n: number
  /** By sync, from nothing to the head. */
  readonly events: ReadonlyArray<ChannelEvent>
  /** By pages of history. */
  readonly messages: ReadonlyArray<MessageEvent>
}

export interface MessageView {
  readonly seq: number
  readonly text: string
  readonly edited: number | null
  readonly deleted: number | null
}

/** How a channel stands for one user on one device. */
export interface ChannelView {
  readonly seq: number
  readonly n: number
  readonly name: string
  readonly members: number
  readonly unread: number
  readonly mentions: number
  readonly cursor: Position
  readonly last: MessageView | null
}

export interface UserView {
  readonly user: string
  /** The session's position. */
  readonly session: number
  readonly channels: ReadonlyMap<string, ChannelView>
}

/** What a device that was never there before gets. */
export interface FreshView extends UserView {
  /** Personal events as far back as they are kept. */
  readonly personal: ReadonlyArray<UserEvent>
}

export interface DeviceView extends UserView {
  readonly device: string
  /** Messages the device holds, by channel. */
  readonly held: ReadonlyMap<string, ReadonlyArray<MessageView>>
}

export interface FinalState {
  readonly channels: ReadonlyArray<FinalChannel>
  /** Channels and users that can't be read any more, and why. */
  readonly unreadable: ReadonlyArray<{ readonly what: string; readonly why: string }>
  readonly fresh: ReadonlyArray<FreshView>
  readonly devices: ReadonlyArray<DeviceView>
}

export const messageView = (event: MessageEvent): MessageView => ({
  seq: event.seq,
  text: event.text,
  edited: event.edited ?? null,
  deleted: event.deleted ?? null
})

/** Of a message that is gone it is of no matter whether it was edited before. */
const current = (message: MessageView): MessageView =>
  message.deleted === null ? message : { ...message, edited: null }

export const sameMessage = (a: MessageView | null, b: MessageView | null): boolean =>
  plain(a && current(a)) === plain(b && current(b))

/** Where a device's view of the world is not what a fresh one of the same user gets. Empty: nowhere. */
export const viewDifferences = (view: UserView, fresh: UserView): ReadonlyArray<string> => {
  const differences: Array<string> = []
  if (view.session !== fresh.session) differences.push(`session at ${view.session}, fresh ${fresh.session}`)
  for (const [channel, there] of fresh.channels) {
    const here = view.channels.get(channel)
    if (here === undefined) differences.push(`${channel} is missing`)
    else differences.push(...channelDifferences(channel, here, there))
  }
  for (const channel of view.channels.keys()) {
    if (!fresh.channels.has(channel)) differences.push(`${channel} is there, fresh has it not`)
  }
  return differences
}

const fields = ["seq", "n", "name", "members", "unread", "mentions", "cursor", "last"] as const

const channelDifferences = (channel: string, here: ChannelView, there: ChannelView): ReadonlyArray<string> =>
  fields.flatMap((field) => {
    const [a, b] = [plain(here[field]), plain(there[field])]
    if (a === b || (field === "last" && sameMessage(here.last, there.last))) return []
    return [`${channel} ${field} is ${a}, fresh ${b}`]
  })

/** With keys in one order, so that equal values look equal. */
const plain = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part
  )
