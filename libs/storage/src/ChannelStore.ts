/**
 * What is written of channels together, and read together: a step of the persister, and what a cold channel wakes with.
 * A backend that can does either in one transaction and one round trip; `layerComposed` makes both of the other seams,
 * part by part, for those that can't. A step is idempotent like its parts (†32), and its order is that of the rows that
 * rely on one another: a later part is never there without the earlier ones of the same step.
 */
import { Context, Effect, Layer, Option } from "effect"
import { type ChannelMove, type ChannelRow, Directory, type Membership } from "./Directory.ts"
import { idTimeOf } from "./IdTime.ts"
import { Inbox, type Mention } from "./Inbox.ts"
import { MessageStore, type NewestEvents, type StoredEvent } from "./MessageStore.ts"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

/** What a range of the log makes of the stores, for any number of channels. */
export interface ChannelStep {
  readonly events: ReadonlyArray<StoredEvent>
  /** Who was named by these events, and who no longer is. */
  readonly named: ReadonlyArray<Mention>
  readonly taken: ReadonlyArray<Mention>
  readonly members: ReadonlyArray<Membership>
  /** Channels whose settings or members changed. The row of any other only moves with its events, see `movesOf`. */
  readonly rows: ReadonlyArray<ChannelRow>
}

/** What a cold channel wakes with, all of one moment where the backend has one. */
export interface StoredChannel {
  readonly row: ChannelRow
  /** Undefined: no event of it is stored yet. */
  readonly newest: NewestEvents | undefined
  /** All stays of present and former members, by user, then `from`; undefined: there are more than was asked for. */
  readonly stays: ReadonlyArray<Membership> | undefined
}

export interface ChannelLoad {
  readonly channels: ReadonlyArray<string>
  /** For each channel: events of the last so many places, as `MessageStore.newest` gives them. */
  readonly newestSeqs: ReadonlyArray<number>
  readonly staysMax: number
}

/** Channels that one call of `load` may name. */
export const loadChannelsMax = 64

export class ChannelStore extends Context.Service<
  ChannelStore,
  {
    /**
     * The id bounds of rows that only move may stay behind those of the events (`movesOf`): the newest event's time
     * bounds its channel's ids, and who reads the row takes the larger of both (†29).
     */
    write(step: ChannelStep): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** One answer a channel, in the order of the question; undefined: the directory has no row of it. */
    load(load: ChannelLoad): Effect.Effect<ReadonlyArray<StoredChannel | undefined>, StoreUnavailable>
  }
>()("@parley/storage/ChannelStore") {}

/** Where the events take the rows of their channels, but for those of `but`. */
export const movesOf = (events: ReadonlyArray<StoredEvent>, but: ReadonlySet<string>): ReadonlyArray<ChannelMove> => {
  const moves = new Map<string, ChannelMove>()
  for (const event of events) {
    if (but.has(event.channel)) continue
    const { channel, generation, n, seq } = event
    const known = moves.get(channel)
    const idBound = Math.max(known?.idBound ?? 0, idTimeOf(event))
    const later =
      known === undefined || generation > known.generation || (generation === known.generation && seq > known.seq)
    moves.set(channel, later ? { channel, generation, seq, n, idBound } : { ...known, idBound })
  }
  return [...moves.values()]
}

/** `load`, of the parts. */
export const composedLoad = (
  messages: MessageStore["Service"],
  directory: Directory["Service"]
): ChannelStore["Service"]["load"] => {
  const loadOne = (channel: string, newestSeqs: number, staysMax: number) =>
    Effect.gen(function* () {
      const row = yield* directory.channel(channel)
      if (Option.isNone(row)) return undefined
      // After the row, which is written last: what it relies on is there. Each user has one stay at least.
      const [newest, stays] = yield* Effect.all(
        [messages.newest(channel, newestSeqs), directory.members(channel, "", staysMax + 1)],
        { concurrency: 2 }
      )
      return {
        row: row.value,
        newest: Option.getOrUndefined(newest),
        stays: stays.length > staysMax ? undefined : stays
      }
    })
  return ({ channels, newestSeqs, staysMax }) =>
    Effect.forEach(channels, (channel, at) => loadOne(channel, newestSeqs[at] ?? 0, staysMax), {
      concurrency: "unbounded"
    })
}

const compose = (
  messages: MessageStore["Service"],
  directory: Directory["Service"],
  inbox: Inbox["Service"]
): ChannelStore["Service"] =>
  ChannelStore.of({
    write: ({ events, members, named, rows, taken }) =>
      Effect.gen(function* () {
        yield* messages.write(events)
        if (named.length > 0) yield* inbox.addMentions(named)
        if (taken.length > 0) yield* inbox.removeMentions(taken)
        if (members.length > 0) yield* directory.writeMembers(members)
        if (rows.length > 0) yield* directory.writeChannels(rows)
        const moves = movesOf(events, new Set(rows.map(({ channel }) => channel)))
        if (moves.length > 0) yield* directory.moveChannels(moves)
      }),
    load: composedLoad(messages, directory)
  })

/** Part by part, over the other seams. */
export const layerComposed: Layer.Layer<ChannelStore, never, MessageStore | Directory | Inbox> = Layer.effect(
  ChannelStore,
  Effect.gen(function* () {
    return compose(yield* MessageStore, yield* Directory, yield* Inbox)
  })
)
