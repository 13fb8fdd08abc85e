/** Parked events in memory. */
import { Effect, Layer } from "effect"
import { type ParkedEntity, type ParkedEvent, ParkedEvents, type ParkedKey } from "../ParkedEvents.ts"

const keyOf = ({ consumer, generation, id, seq, topic }: ParkedKey): string =>
  [consumer, topic, id, generation, seq].join("\n")

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const byPlace = (a: ParkedEvent, b: ParkedEvent): number =>
  compare(a.consumer, b.consumer) ||
  compare(a.topic, b.topic) ||
  compare(a.id, b.id) ||
  a.generation - b.generation ||
  a.seq - b.seq

const make = (): ParkedEvents["Service"] => {
  const parked = new Map<string, ParkedEvent>()
  const sorted = (keep: (event: ParkedEvent) => boolean, limit: number) =>
    [...parked.values()].filter(keep).sort(byPlace).slice(0, limit)
  return ParkedEvents.of({
    put: (events) =>
      Effect.sync(() => {
        for (const event of events) {
          const before = parked.get(keyOf(event))
          parked.set(keyOf(event), before === undefined ? event : { ...before, why: event.why })
        }
      }),
    remove: (keys) =>
      Effect.sync(() => {
        for (const key of keys) parked.delete(keyOf(key))
      }),
    of: (consumer, topic, id, limit) =>
      Effect.sync(() =>
        sorted((event) => event.consumer === consumer && event.topic === topic && event.id === id, limit)
      ),
    list: (limit) => Effect.sync(() => sorted(() => true, limit)),
    entities: (consumer) =>
      Effect.sync(() => {
        const found = new Map<string, ParkedEntity>()
        for (const { id, shard, topic } of sorted((event) => event.consumer === consumer, Infinity)) {
          const key = `${topic}/${id}`
          found.set(key, { shard, topic, id, count: (found.get(key)?.count ?? 0) + 1 })
        }
        return [...found.values()]
      })
  })
}

export const layerMemory: Layer.Layer<ParkedEvents> = Layer.effect(ParkedEvents, Effect.sync(make))
