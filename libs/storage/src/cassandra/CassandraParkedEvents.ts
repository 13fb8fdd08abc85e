/**
 * Parked events in Cassandra (†26). No sequence owns them: they are parked, and let go, by what consumers and operators
 * do, one at a time for a shard. So a write carries a timestamp above what is there, and the clock's where that is larger.
 * What is let go stays as a row without its bytes. Which entities have some is listed apart; a list may name one too
 * many, never one too few: it is written after the events, and taken back under a timestamp from before one has looked.
 * Which consumers ever parked something is said before: of the others, which are nearly all, no list is read.
 */
import { Clock, Effect, Layer } from "effect"
import { type ParkedEntity, type ParkedEvent, ParkedEvents, type ParkedKey } from "../ParkedEvents.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import { parkedBucket, parkedBuckets } from "./Buckets.ts"
import { Cassandra, type Row } from "./Cassandra.ts"
import { unavailable } from "./CassandraClient.ts"
import { big, bytesOf, has, numberOf, textOf } from "./Columns.ts"
import { select, Upsert } from "./Cql.ts"
import { makeGathered } from "./Gathered.ts"
import { allRows, byId, PartitionWrites } from "./Partitions.ts"

/** Events one answer has at most, whatever the caller asks for. */
const listMax = 10_000
/** Events with their bytes, of one request. */
const pageEvents = 256
const atOnce = 32
/** Consumers that one question may name: more than there are. */
const consumersMax = 64

const ofEvent = { key: ["consumer", "topic", "id", "generation", "seq"], partitionColumns: 3 }
const whole = new Upsert({
  table: "parked_events",
  ...ofEvent,
  set: ["shard", "kind", "why", "parked_at", "event", "parked"]
})
const reason = new Upsert({ table: "parked_events", ...ofEvent, set: ["why"] })
const letGo = new Upsert({ table: "parked_events", ...ofEvent, set: ["event", "parked"] })
const entity = new Upsert({
  table: "parked_entities",
  key: ["consumer", "bucket", "topic", "id"],
  partitionColumns: 2,
  set: ["listed"]
})
const consumer = new Upsert({ table: "parked_consumers", key: ["list", "consumer"], set: ["listed"] })

const ofEntity = "FROM parked_events WHERE consumer = ? AND topic = ? AND id = ?"
const known = select(
  `SELECT parked, WRITETIME(parked) AS written, WRITETIME(why) AS reasoned ${ofEntity} AND generation = ? AND seq = ?`
)
const events = select(
  `SELECT generation, seq, shard, kind, why, parked_at, event, parked ${ofEntity} AND (generation, seq) > (?, ?) LIMIT ?`
)
const counted = select(`SELECT generation, seq, shard, parked ${ofEntity} AND (generation, seq) > (?, ?) LIMIT ?`)
const listing = select(
  "SELECT topic, id, listed FROM parked_entities WHERE consumer = ? AND bucket = ? AND (topic, id) > (?, ?) LIMIT ?"
)
const listedAt = select(
  "SELECT WRITETIME(listed) AS written FROM parked_entities WHERE consumer = ? AND bucket = ? AND topic = ? AND id = ?"
)
const consumers = select("SELECT consumer FROM parked_consumers WHERE list = ?")

/** The only one there is. */
const theList = 1

type Of = Pick<ParkedKey, "consumer" | "topic" | "id">
type Place = Pick<ParkedKey, "generation" | "seq">
const start: Place = { generation: -1, seq: 0 }

const keyOf = ({ consumer, generation, id, seq, topic }: ParkedKey) =>
  [consumer, topic, id, generation, big(seq)] as const
const partitionOf = ({ consumer, id, topic }: Of): string => JSON.stringify([consumer, topic, id])
const placeOf = (row: Row): Place => ({ generation: numberOf(row, "generation"), seq: numberOf(row, "seq") })
const isParked = (row: Row | undefined): boolean => row !== undefined && row.get("parked") === true
const topicOf = (row: Row): ParkedKey["topic"] => (textOf(row, "topic") === "user" ? "user" : "channel")
const writtenAt = (row: Row | undefined, ...columns: ReadonlyArray<string>): bigint =>
  columns.reduce((latest, column) => {
    const at = row !== undefined && has(row, column) ? BigInt(textOf(row, column)) : 0n
    return at > latest ? at : latest
  }, 0n)

const eventOf = (of: Of, row: Row): ParkedEvent => ({
  ...of,
  ...placeOf(row),
  shard: numberOf(row, "shard"),
  kind: textOf(row, "kind"),
  why: textOf(row, "why"),
  parkedAt: numberOf(row, "parked_at"),
  event: bytesOf(row, "event")
})

/** The entities of these events, each once. */
const entitiesOf = (keys: ReadonlyArray<Of>): ReadonlyArray<Of> => [
  ...new Map(
    keys.map(({ consumer, id, topic }) => [partitionOf({ consumer, id, topic }), { consumer, id, topic }])
  ).values()
]

const make = Effect.fnUntraced(function* (cassandra: Cassandra["Service"]) {
  const one = (...[statement, values]: Parameters<typeof cassandra.read>) =>
    Effect.map(cassandra.read(statement, values), (rows) => rows[0])

  const run = (writes: PartitionWrites): Effect.Effect<void, StoreUnavailable> =>
    Effect.catchTag(writes.run(cassandra), "StoreRefused", (error) => Effect.fail(unavailable(error)))

  const after = (written: bigint) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const byClock = big(now) * 1_000n
      return byClock > written ? byClock : written + 1n
    })

  const each = <A, B>(items: ReadonlyArray<A>, run: (item: A) => Effect.Effect<B, StoreUnavailable>) =>
    Effect.forEach(items, run, { concurrency: atOnce })

  const listedSince = (it: Of) =>
    Effect.map(one(listedAt, [it.consumer, parkedBucket(it.id), it.topic, it.id]), (row) => writtenAt(row, "written"))

  const list = (to: PartitionWrites, it: Of, timestamp: bigint, listed: boolean): void => {
    const bucket = parkedBucket(it.id)
    to.add(`${it.consumer}/${bucket}`, entity.at(timestamp, listed, it.consumer, bucket, it.topic, it.id))
  }

  const put = Effect.fnUntraced(function* (parked: ReadonlyArray<ParkedEvent>) {
    const named = new PartitionWrites()
    for (const it of parked) named.addOnce("consumers", it.consumer, () => consumer.at(1n, true, theList, it.consumer))
    yield* run(named)
    const writes = new PartitionWrites()
    yield* each(
      parked,
      Effect.fnUntraced(function* (it) {
        const row = yield* one(known, keyOf(it))
        const timestamp = yield* after(writtenAt(row, "written", "reasoned"))
        const bytes = Buffer.from(it.event.buffer, it.event.byteOffset, it.event.byteLength)
        const write = isParked(row)
          ? reason.at(timestamp, it.why, ...keyOf(it))
          : whole.at(timestamp, it.shard, it.kind, it.why, big(it.parkedAt), bytes, true, ...keyOf(it))
        writes.add(partitionOf(it), write)
      })
    )
    yield* run(writes)
    const lists = new PartitionWrites()
    yield* each(
      entitiesOf(parked),
      Effect.fnUntraced(function* (it) {
        list(lists, it, yield* after(yield* listedSince(it)), true)
      })
    )
    yield* run(lists)
  })

  const remove = Effect.fnUntraced(function* (keys: ReadonlyArray<ParkedKey>) {
    const entities = yield* each(entitiesOf(keys), (it) => Effect.map(listedSince(it), (since) => ({ it, since })))
    const writes = new PartitionWrites()
    yield* each(
      keys,
      Effect.fnUntraced(function* (it) {
        const row = yield* one(known, keyOf(it))
        if (!isParked(row)) return
        writes.add(partitionOf(it), letGo.at(yield* after(writtenAt(row, "written")), noBytes, false, ...keyOf(it)))
      })
    )
    yield* run(writes)
    const lists = new PartitionWrites()
    yield* each(
      entities,
      Effect.fnUntraced(function* ({ it, since }) {
        if ((yield* count(it)).count === 0) list(lists, it, since + 1n, false)
      })
    )
    yield* run(lists)
  })

  const of = Effect.fnUntraced(function* (it: Of, limit: number) {
    const found: Array<ParkedEvent> = []
    for (let from = start, full = true; full && found.length < limit;) {
      const rows = yield* cassandra.read(events, [
        it.consumer,
        it.topic,
        it.id,
        from.generation,
        big(from.seq),
        pageEvents
      ])
      for (const row of rows) if (isParked(row) && found.length < limit) found.push(eventOf(it, row))
      const last = rows.at(-1)
      full = rows.length === pageEvents
      if (last !== undefined) from = placeOf(last)
    }
    return found
  })

  const count = (it: Of) =>
    allRows((last: Row | undefined, limit) => {
      const from = last === undefined ? start : placeOf(last)
      return cassandra.read(counted, [it.consumer, it.topic, it.id, from.generation, big(from.seq), limit])
    }).pipe(
      Effect.map((rows) => {
        const parked = rows.filter(isParked)
        return { count: parked.length, shard: parked[0] === undefined ? 0 : numberOf(parked[0], "shard") }
      })
    )

  /** Those that are listed, by topic and id: some may have nothing left. */
  const listedOf = (name: string): Effect.Effect<ReadonlyArray<Of>, StoreUnavailable> =>
    each(
      Array.from({ length: parkedBuckets }, (_, bucket) => bucket),
      (bucket) =>
        allRows((last: Row | undefined, limit) =>
          cassandra.read(listing, [
            name,
            bucket,
            last === undefined ? "" : textOf(last, "topic"),
            last === undefined ? "" : textOf(last, "id"),
            limit
          ])
        )
    ).pipe(
      Effect.map((buckets) =>
        buckets
          .flat()
          .filter((row) => row.get("listed") === true)
          .map((row) => ({ consumer: name, topic: topicOf(row), id: textOf(row, "id") }))
          .sort((a, b) => byId(a.topic, b.topic) || byId(a.id, b.id))
      )
    )

  /** Of consumers that have parked something, now or once. */
  const names = Effect.map(cassandra.read(consumers, [theList]), (rows) => rows.map((row) => textOf(row, "consumer")))

  const entitiesOfConsumer = (name: string) =>
    Effect.flatMap(listedOf(name), (listed) =>
      each(listed, (it) =>
        Effect.map(count(it), ({ count, shard }): ParkedEntity => ({ shard, topic: it.topic, id: it.id, count }))
      )
    ).pipe(Effect.map((entities) => entities.filter(({ count }) => count > 0)))

  /** Each shard that is taken over asks for those of all: together (Gathered). */
  const entities = yield* makeGathered(
    consumersMax,
    Effect.fnUntraced(function* (asked: ReadonlySet<string>) {
      const found = new Map<string, ReadonlyArray<ParkedEntity>>()
      for (const name of yield* names) if (asked.has(name)) found.set(name, yield* entitiesOfConsumer(name))
      return (name: string) => found.get(name) ?? []
    })
  )

  const listAll = Effect.fnUntraced(function* (limit: number) {
    const found: Array<ParkedEvent> = []
    for (const name of (yield* names).toSorted(byId)) {
      for (const it of yield* listedOf(name)) {
        if (found.length >= limit) return found
        for (const event of yield* of(it, limit - found.length)) found.push(event)
      }
    }
    return found
  })

  const bounded = (limit: number): number => Math.min(Math.max(limit, 0), listMax)
  return ParkedEvents.of({
    put,
    remove,
    of: (consumer, topic, id, limit) => of({ consumer, topic, id }, bounded(limit)),
    list: (limit) => listAll(bounded(limit)),
    entities
  })
})

const noBytes = Buffer.alloc(0)

export const layerCassandra: Layer.Layer<ParkedEvents, never, Cassandra> = Layer.effect(
  ParkedEvents,
  Effect.flatMap(Cassandra, make)
)
