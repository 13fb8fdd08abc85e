/**
 * Inboxes and mentions in memory. What was taken out leaves the seq up to which it was read, and a removed mention
 * leaves itself, so that a write which comes late does not bring it back.
 */
import { Effect, Layer } from "effect"
import { Inbox, type InboxEntry } from "../Inbox.ts"

interface Row {
  readonly seq: number
  /** Order of coming in; null once taken out. */
  readonly place: number | null
  readonly removedSeq: number
}

/** The map in `table` at `key`, made where there is none. */
const inner = <Key, Value>(table: Map<string, Map<Key, Value>>, key: string): Map<Key, Value> => {
  const known = table.get(key) ?? new Map<Key, Value>()
  table.set(key, known)
  return known
}

const make = (): Inbox["Service"] => {
  const inboxes = new Map<string, Map<string, Row>>()
  /** `user\nchannel` → seq → removed. */
  const mentions = new Map<string, Map<number, boolean>>()
  let lastPlace = 0

  const add = ({ user, channel, seq }: InboxEntry): void => {
    const inbox = inner(inboxes, user)
    const row = inbox.get(channel)
    if (row !== undefined && (row.place !== null || seq <= row.removedSeq)) return
    inbox.set(channel, { seq, place: ++lastPlace, removedSeq: row?.removedSeq ?? 0 })
  }

  return Inbox.of({
    add: (entries) => Effect.sync(() => entries.forEach(add)),
    list: (user, limit) =>
      Effect.sync(() =>
        [...(inboxes.get(user) ?? [])]
          .flatMap(([channel, { place, seq }]) => (place === null ? [] : [{ user, channel, seq, place }]))
          .sort((a, b) => b.place - a.place)
          .slice(0, limit)
      ),
    remove: (user, read) =>
      Effect.sync(() => {
        const inbox = inner(inboxes, user)
        for (const { channel, seq } of read) {
          const row = inbox.get(channel) ?? { seq: 0, place: null, removedSeq: 0 }
          if (row.removedSeq >= seq) continue
          inbox.set(channel, { ...row, place: row.seq > seq ? row.place : null, removedSeq: seq })
        }
      }),
    addMentions: (added) =>
      Effect.sync(() => {
        for (const { user, channel, seq } of added) {
          const own = inner(mentions, `${user}\n${channel}`)
          if (!own.has(seq)) own.set(seq, false)
        }
      }),
    removeMentions: (removed) =>
      Effect.sync(() => {
        for (const { user, channel, seq } of removed) inner(mentions, `${user}\n${channel}`).set(seq, true)
      }),
    countMentions: (user, channel, afterSeq, upTo) =>
      Effect.sync(
        () =>
          [...(mentions.get(`${user}\n${channel}`) ?? [])].filter(
            ([seq, removed]) => !removed && seq > afterSeq && seq <= upTo
          ).length
      )
  })
}

export const layerMemory: Layer.Layer<Inbox> = Layer.effect(Inbox, Effect.sync(make))
