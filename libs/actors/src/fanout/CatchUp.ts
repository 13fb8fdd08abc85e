/**
 * How a consumer that was cut loose from the log catches up (†3): it goes over its shard's channels in the store and
 * takes, for each, the events after the one that it has, in order and in current form; what is parked (†26) comes from
 * there. It may get an event that it has: it is idempotent by channel and seq, as it has to be for the log.
 */
import { Effect } from "effect"
import { Directory } from "@parley/storage/Directory"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import type { WireText } from "@parley/protocol/WireText"
import { persisterConsumer } from "./ConsumerNames.ts"
import { decodeParked, parkedEventsMax } from "./Parking.ts"
import { shardOf } from "./ShardHash.ts"

/** Channels and events read in one go. */
const channelsAtOnce = 500
const eventsAtOnce = 500

export interface CaughtEvent {
  readonly seq: number
  readonly body: WireText
}

export interface CatchUpOptions<E> {
  readonly shard: number
  readonly shardCount: number
  /** The last event of the channel that the consumer is done with; 0: none. */
  readonly known: (channel: string) => Effect.Effect<number, E>
  readonly apply: (channel: string, events: ReadonlyArray<CaughtEvent>) => Effect.Effect<void, E>
}

export const catchUpFromStore = Effect.fnUntraced(function* <E>(options: CatchUpOptions<E>) {
  const directory = yield* Directory
  const messages = yield* MessageStore
  const parked = yield* ParkedEvents
  const { apply, known, shard, shardCount } = options

  const channel = Effect.fnUntraced(function* (name: string) {
    let after = yield* known(name)
    while (true) {
      const events = yield* messages.events(name, after, Number.MAX_SAFE_INTEGER, eventsAtOnce)
      if (events.length > 0) yield* apply(name, events)
      after = events.at(-1)?.seq ?? after
      if (events.length < eventsAtOnce) break
    }
    const waiting = yield* parked.of(persisterConsumer, "channel", name, parkedEventsMax)
    const rest = waiting.map(decodeParked).filter(({ seq }) => seq > after)
    if (rest.length > 0) yield* apply(name, rest)
  })

  for (let after = ""; ;) {
    const names = yield* directory.channelIds(after, channelsAtOnce)
    for (const name of names) if (shardOf(name, shardCount) === shard) yield* channel(name)
    const last = names.at(-1)
    if (last === undefined || names.length < channelsAtOnce) break
    after = last
  }
  // Channels whose very first event is parked have no row.
  for (const { id, topic } of yield* parked.entities(persisterConsumer)) {
    if (topic !== "channel" || shardOf(id, shardCount) !== shard) continue
    if ((yield* directory.channel(id))._tag === "None") yield* channel(id)
  }
})
