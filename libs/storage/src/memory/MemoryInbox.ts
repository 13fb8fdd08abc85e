/**
 * Inboxes in memory, which is where the embedded server has them (a cluster has Redis): they order work and nothing
 * else, so a restart may lose them (†10). Bounded: the inbox that was written longest ago goes first. What was taken out
 * leaves the seq up to which it was read, so that a put which comes late does not bring it back. Mentions, which are
 * counted, are kept here for tests only; a removed one leaves itself, for the same reason.
 */
import { Effect, Layer } from "effect"
import { Inbox, type InboxEntry, type PlacedEntry, type ReadUpTo } from "../Inbox.ts"

/** Channels in all inboxes together, those taken out included; each takes some 150 bytes. */
export const inboxRowsMax = 250_000

interface Row {
  readonly seq: number
  /** Order of coming in; 0 once taken out. */
  readonly place: number
  readonly removedSeq: number
}

const absent: Row = { seq: 0, place: 0, removedSeq: 0 }

export class Inboxes {
  readonly #rowsMax: number
  readonly #now: () => number
  /** By user, the one written last at the end. */
  readonly #inboxes = new Map<string, Map<string, Row>>()
  #rows = 0
  #lastPlace = 0

  constructor(rowsMax = inboxRowsMax, now: () => number = Date.now) {
    this.#rowsMax = rowsMax
    this.#now = now
  }

  get rows(): number {
    return this.#rows
  }

  add({ channel, seq, user }: InboxEntry): void {
    const row = this.#inboxes.get(user)?.get(channel) ?? absent
    if (row.place > 0 || seq <= row.removedSeq) return
    // Later than all of an earlier process, whose pages of a sync may still be asked for.
    this.#lastPlace = Math.max(this.#lastPlace + 1, this.#now() * 1_000)
    this.#put(user, channel, { seq, place: this.#lastPlace, removedSeq: row.removedSeq })
  }

  remove(user: string, { channel, seq }: ReadUpTo): void {
    const row = this.#inboxes.get(user)?.get(channel) ?? absent
    if (row.removedSeq >= seq) return
    this.#put(user, channel, { ...row, place: row.seq > seq ? row.place : 0, removedSeq: seq })
  }

  list(user: string, limit: number): ReadonlyArray<PlacedEntry> {
    return [...(this.#inboxes.get(user) ?? [])]
      .flatMap(([channel, { place, seq }]) => (place === 0 ? [] : [{ user, channel, seq, place }]))
      .sort((a, b) => b.place - a.place)
      .slice(0, limit)
  }

  #put(user: string, channel: string, row: Row): void {
    const inbox = this.#inboxes.get(user) ?? new Map<string, Row>()
    this.#inboxes.delete(user)
    this.#inboxes.set(user, inbox)
    if (!inbox.has(channel)) this.#rows++
    inbox.set(channel, row)
    for (const [oldest, rows] of this.#inboxes) {
      if (this.#rows <= this.#rowsMax || oldest === user) return
      this.#inboxes.delete(oldest)
      this.#rows -= rows.size
    }
  }
}

/** The half of the seam that is in memory. */
export const inboxesOf = (inboxes: Inboxes): Pick<Inbox["Service"], "add" | "list" | "remove"> => ({
  add: (entries) => Effect.sync(() => entries.forEach((entry) => inboxes.add(entry))),
  list: (user, limit) => Effect.sync(() => inboxes.list(user, limit)),
  remove: (user, read) => Effect.sync(() => read.forEach((upTo) => inboxes.remove(user, upTo)))
})

const make = (): Inbox["Service"] => {
  /** `user\nchannel` → seq → removed. */
  const mentions = new Map<string, Map<number, boolean>>()
  const of = (user: string, channel: string): Map<number, boolean> => {
    const known = mentions.get(`${user}\n${channel}`) ?? new Map<number, boolean>()
    mentions.set(`${user}\n${channel}`, known)
    return known
  }
  return Inbox.of({
    ...inboxesOf(new Inboxes()),
    addMentions: (added) =>
      Effect.sync(() => {
        for (const { user, channel, seq } of added) if (!of(user, channel).has(seq)) of(user, channel).set(seq, false)
      }),
    removeMentions: (removed) =>
      Effect.sync(() => {
        for (const { user, channel, seq } of removed) of(user, channel).set(seq, true)
      }),
    countMentions: (user, channel, afterSeq, upTo) =>
      Effect.sync(
        () => [...of(user, channel)].filter(([seq, removed]) => !removed && seq > afterSeq && seq <= upTo).length
      )
  })
}

export const layerMemory: Layer.Layer<Inbox> = Layer.effect(Inbox, Effect.sync(make))
