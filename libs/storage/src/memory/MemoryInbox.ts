/**
 * When channels got their last messages, in memory, which is where the embedded server has it (a cluster has Redis):
 * inboxes are made of it, which order work and nothing else, so a restart may lose it (†10). Bounded: the places of
 * longest ago go. Mentions, which are counted, are kept here for tests only; a removed one leaves itself, so that a write
 * which comes late does not bring it back (†32).
 */
import { Effect, Layer } from "effect"
import { type Activity, Inbox, type InboxPlace, type Mention, type ReadUpTo } from "../Inbox.ts"

/** Channels whose last message is known, at most; each takes some 150 bytes. */
export const activeChannelsMax = 250_000

interface Last {
  seq: number
  place: number
}

/**
 * Two halves: what is noted goes into the newer one, and when that is full the older one is let go as a whole. One map
 * with the oldest taken out one by one would be searched through its holes each time.
 */
export class ActiveChannels {
  readonly #halfMax: number
  readonly #now: () => number
  #newer = new Map<string, Last>()
  #older = new Map<string, Last>()
  #lastPlace = 0

  constructor(channelsMax = activeChannelsMax, now: () => number = Date.now) {
    this.#halfMax = Math.max(1, Math.floor(channelsMax / 2))
    this.#now = now
  }

  /** Entries held: a channel may have one in either half. */
  get size(): number {
    return this.#newer.size + this.#older.size
  }

  note({ channel, seq }: Activity): void {
    const known = this.#newer.get(channel)
    if (seq <= ((known ?? this.#older.get(channel))?.seq ?? 0)) return
    // Later than all of an earlier process, whose pages of a sync may still be asked for.
    const place = (this.#lastPlace = Math.max(this.#lastPlace + 1, this.#now() * 1_000))
    if (known !== undefined) {
      known.seq = seq
      known.place = place
      return
    }
    if (this.#newer.size >= this.#halfMax) {
      this.#older = this.#newer
      this.#newer = new Map()
    }
    this.#newer.set(channel, { seq, place })
  }

  placesOf(read: ReadonlyArray<ReadUpTo>): ReadonlyArray<InboxPlace> {
    const places: Array<InboxPlace> = []
    for (const { channel, seq } of read) {
      const last = this.#newer.get(channel) ?? this.#older.get(channel)
      if (last !== undefined && last.seq > seq) places.push({ channel, seq: last.seq, place: last.place })
    }
    return places
  }
}

/** The half of the seam that is in memory. */
export const inboxesOf = (channels: ActiveChannels): Pick<Inbox["Service"], "active" | "placesOf"> => ({
  active: (messages) =>
    Effect.sync(() => {
      for (const message of messages) channels.note(message)
    }),
  placesOf: (read) => Effect.sync(() => channels.placesOf(read))
})

const make = (): Inbox["Service"] => {
  /** `user\nchannel` → seq → what the latest event says. */
  const mentions = new Map<string, Map<number, { readonly at: number; readonly removed: boolean }>>()
  const of = (user: string, channel: string) => {
    const known = mentions.get(`${user}\n${channel}`) ?? new Map<number, { at: number; removed: boolean }>()
    mentions.set(`${user}\n${channel}`, known)
    return known
  }
  const put = (rows: ReadonlyArray<Mention>, removed: boolean) =>
    Effect.sync(() => {
      for (const { at, channel, seq, user } of rows) {
        const known = of(user, channel)
        if (at > (known.get(seq)?.at ?? -1)) known.set(seq, { at, removed })
      }
    })
  return Inbox.of({
    ...inboxesOf(new ActiveChannels()),
    addMentions: (named) => put(named, false),
    removeMentions: (taken) => put(taken, true),
    countMentions: (user, channel, afterSeq, upTo) =>
      Effect.sync(
        () => [...of(user, channel)].filter(([seq, { removed }]) => !removed && seq > afterSeq && seq <= upTo).length
      )
  })
}

export const layerMemory: Layer.Layer<Inbox> = Layer.effect(Inbox, Effect.sync(make))
