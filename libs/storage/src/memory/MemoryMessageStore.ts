/**
 * History in memory: for tests and servers that need not remember. Rows change by MessageRow, as in every backend;
 * pages and counts are found by looking at what there is.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import type { WireText } from "@parley/protocol/WireText"
import { Effect, Layer, Option } from "effect"
import { voidEdit } from "../CurrentForm.ts"
import {
  absentMessage,
  countsFor,
  currentBody,
  isPresent,
  type MessageRow,
  toStoredMessage,
  voidsEdits,
  withDelete,
  withEdit,
  withMessage,
  withoutMessage
} from "../MessageRow.ts"
import { MessageStore, type StoredAck, type StoredEvent } from "../MessageStore.ts"

interface EventRow {
  readonly generation: number
  /** The message of an edit that still has a text; 0 otherwise. */
  readonly liveTarget: number
  readonly body: WireText
}

interface Channel {
  readonly messages: Map<number, MessageRow>
  readonly events: Map<number, EventRow>
  head: { readonly generation: number; readonly seq: number; readonly n: number }
}

interface IdRow extends StoredAck {
  readonly cid: string
  readonly generation: number
}

const putEvent = (channel: Channel, it: StoredEvent, liveTarget: number, body: WireText): void => {
  const message = channel.messages.get(it.seq)
  if (message !== undefined) {
    if (message.created >= it.generation) return
    channel.messages.set(it.seq, withoutMessage(message, it.generation))
  }
  if ((channel.events.get(it.seq)?.generation ?? -1) >= it.generation) return
  channel.events.set(it.seq, { generation: it.generation, liveTarget, body })
}

const putMessage = (channel: Channel, it: StoredEvent): void => {
  const other = channel.events.get(it.seq)
  if (other !== undefined && other.generation >= it.generation) return
  channel.events.delete(it.seq)
  channel.messages.set(it.seq, withMessage(channel.messages.get(it.seq) ?? absentMessage, it))
}

const putEdit = (channel: Channel, it: StoredEvent): void => {
  const target = channel.messages.get(it.target) ?? absentMessage
  if (voidsEdits(target)) putEvent(channel, it, 0, voidEdit(it.body))
  else putEvent(channel, it, it.target, it.body)
  channel.messages.set(it.target, withEdit(target, it))
}

const putDelete = (channel: Channel, it: StoredEvent): void => {
  putEvent(channel, it, 0, it.body)
  channel.messages.set(it.target, withDelete(channel.messages.get(it.target) ?? absentMessage, it))
  for (const [seq, event] of channel.events) {
    if (event.liveTarget === it.target) {
      channel.events.set(seq, { ...event, liveTarget: 0, body: voidEdit(event.body) })
    }
  }
}

const put = (channel: Channel, it: StoredEvent): void => {
  if (it.kind === "message") putMessage(channel, it)
  else if (it.kind === "edit") putEdit(channel, it)
  else if (it.kind === "delete") putDelete(channel, it)
  else putEvent(channel, it, 0, it.body)
  const { head } = channel
  if (it.generation > head.generation || (it.generation === head.generation && it.seq > head.seq)) {
    channel.head = { generation: it.generation, seq: it.seq, n: it.n }
  }
}

const visible = (
  channel: Channel | undefined,
  after: number,
  before: number
): ReadonlyArray<readonly [number, MessageRow]> =>
  channel === undefined
    ? []
    : [...channel.messages]
        .filter(([seq, row]) => seq > after && seq < before && isPresent(row))
        .sort(([a], [b]) => a - b)

const make = (): MessageStore["Service"] => {
  const channels = new Map<string, Channel>()
  const ids = new Map<string, IdRow>()
  const idKey = (channel: string, sender: string, cid: string): string => `${channel}\n${sender}\n${cid}`

  const rememberId = (it: StoredEvent): void => {
    const key = idKey(it.channel, it.by, it.cid)
    const known = ids.get(key)
    const older =
      known === undefined ||
      known.generation < it.generation ||
      (known.generation === it.generation && known.seq < it.seq)
    if (older) {
      ids.set(key, { cid: it.cid, generation: it.generation, seq: it.seq, n: it.n, at: it.at, bodyHash: it.bodyHash })
    }
  }

  const write = (events: ReadonlyArray<StoredEvent>): void => {
    for (const it of events) {
      let channel = channels.get(it.channel)
      if (channel === undefined) {
        channel = { messages: new Map(), events: new Map(), head: { generation: -1, seq: 0, n: 0 } }
        channels.set(it.channel, channel)
      }
      put(channel, it)
      if (it.cid !== "") rememberId(it)
    }
  }

  const eventsOf = (name: string, after: number, upTo: number, limit: number) => {
    const channel = channels.get(name)
    const messages = visible(channel, after, upTo + 1).map(([seq, row]) => ({ seq, body: currentBody(row) }))
    const others = [...(channel?.events ?? [])]
      .filter(([seq]) => seq > after && seq <= upTo)
      .map(([seq, row]) => ({ seq, body: row.body }))
    return [...messages, ...others].sort((a, b) => a.seq - b.seq).slice(0, limit)
  }

  return MessageStore.of({
    write: (events) => Effect.sync(() => write(events)),
    messages: (name, { after, before, limit, newest }) =>
      Effect.sync(() => {
        const rows = visible(channels.get(name), after, before)
        const page = newest ? rows.slice(Math.max(0, rows.length - limit)) : rows.slice(0, limit)
        return page.map(([seq, row]) => toStoredMessage(seq, row))
      }),
    events: (name, after, upTo, limit) => Effect.sync(() => eventsOf(name, after, upTo, limit)),
    countUnread: (name, after, upTo, user) =>
      Effect.sync(
        () =>
          visible(channels.get(name), after, upTo + 1).filter(([, row]) => {
            const sender = countsFor(row)
            return sender !== null && sender !== user
          }).length
      ),
    findId: (channel, sender, cid) =>
      Effect.sync(() =>
        Option.map(Option.fromUndefinedOr(ids.get(idKey(channel, sender, cid))), ({ seq, n, at, bodyHash }) => ({
          seq,
          n,
          at,
          bodyHash
        }))
      ),
    forgetIds: (before) =>
      Effect.sync(() => {
        for (const [key, row] of ids) {
          if (clientIdTime(row.cid) < before) ids.delete(key)
        }
      }),
    head: (name) =>
      Effect.sync(() => {
        const channel = channels.get(name)
        return channel === undefined || channel.head.generation < 0 ? Option.none() : Option.some(channel.head)
      }),
    newest: (name, seqs) =>
      Effect.sync(() => {
        const channel = channels.get(name)
        if (channel === undefined || channel.head.generation < 0) return Option.none()
        const { head } = channel
        const row = channel.messages.get(head.seq)
        const message = row === undefined || !isPresent(row) ? undefined : { at: row.at, by: row.by }
        return Option.some({ head, message, events: eventsOf(name, Math.max(0, head.seq - seqs), head.seq, seqs) })
      })
  })
}

export const layerMemory: Layer.Layer<MessageStore> = Layer.effect(MessageStore, Effect.sync(make))
