/**
 * What a consumer of the log does with an event that it can't handle: it parks it, visibly, and goes on (†26). Such an
 * event is one that fails by itself, every time: the store refuses it, or the code stumbles over it. It is copied to the
 * parked events before the consumer's position moves past it; an operator has it tried again, or gives its text up.
 * What is only not possible now (a store that is away) is not parked: the log keeps it and the step is repeated.
 *
 * Where later events build on earlier ones (`keepsOrder`), those of the same entity are parked behind it, so that the
 * entity's rows stand where they were before it, and whoever reads them adds what is parked on top.
 */
import { Cause, Context, Effect, Layer, Option, Result, Schema, Semaphore } from "effect"
import { type ParkedEntity, type ParkedEvent, ParkedEvents } from "@parley/storage/ParkedEvents"
import type { StoreUnavailable } from "@parley/storage/StoreError"
import type { Entry } from "../log/Entry.ts"
import type { ConsumedEntry } from "./LogConsumer.ts"

/** Events parked for one consumer and shard; past it the consumer stops there and the log keeps what follows. */
export const parkedEventsMax = 10_000
/** Parked events read in one go. */
const pageEvents = 256

/** So much is parked already that something larger must be wrong. */
export class ParkingFull extends Schema.TaggedError<ParkingFull>()("ParkingFull", {
  consumer: Schema.String,
  shard: Schema.Int,
  why: Schema.String
}) {}

/** What an operator asks for can't be done. */
export class ParkedRefused extends Schema.TaggedError<ParkedRefused>()("ParkedRefused", { why: Schema.String }) {}

export interface ParkingOptions<E> {
  readonly consumer: string
  readonly keepsOrder: boolean
  readonly apply: (shard: number, entries: ReadonlyArray<ConsumedEntry>) => Effect.Effect<void, E>
  /** Why this failure comes again whenever it is tried; undefined: it may not. Defects always do. */
  readonly poison: (error: E) => string | undefined
  /** Makes durable what `apply` wrote. */
  readonly sync: Effect.Effect<void, StoreUnavailable>
  /** What is left of an event whose text is given up; undefined: others build on it, it can't be given up. */
  readonly withoutText?: (entry: Entry) => ReadonlyArray<Entry> | undefined
  /** The parked events of an entity were all written, up to this seq. */
  readonly released?: (entity: Released) => void
}

export interface Released {
  readonly shard: number
  readonly topic: Entry["topic"]
  readonly id: string
  readonly seq: number
}

/** How trying again ended. */
export interface Retried {
  readonly written: number
  readonly left: number
  /** Why the first that is left can't be written; the empty string: none is. */
  readonly why: string
}

/** A parked event's bytes are its entry. */
export const encodeParked = (entry: Entry): Uint8Array => Buffer.from(JSON.stringify(entry))
// as: nobody else writes them
export const decodeParked = ({ event }: Pick<ParkedEvent, "event">): Entry =>
  JSON.parse(Buffer.from(event.buffer, event.byteOffset, event.byteLength).toString()) as Entry

const keyOf = ({ id, topic }: { readonly topic: string; readonly id: string }): string => `${topic}/${id}`

const none: ReadonlyArray<ParkedEntity> = []

export class Parking<E> {
  readonly consumer: string
  readonly #options: ParkingOptions<E>
  readonly #store: ParkedEvents["Service"]
  /** Shard that is worked on here → entity → what is parked of it. */
  readonly #entities = new Map<number, Map<string, ParkedEntity>>()
  /** One step or one operator's wish at a time in a shard. */
  readonly #locks = new Map<number, Semaphore.Semaphore>()

  constructor(options: ParkingOptions<E>, store: ParkedEvents["Service"]) {
    this.consumer = options.consumer
    this.#options = options
    this.#store = store
  }

  /** Reads what is parked of a shard, before its first event here: who had it before may have parked some. */
  begin(shard: number): Effect.Effect<void, StoreUnavailable> {
    return this.#locked(
      shard,
      Effect.map(this.#store.entities(this.consumer), (entities) => {
        this.#entities.delete(shard)
        this.#keep(shard, entities)
      })
    )
  }

  /** Another process works on it now. */
  leave(shard: number): void {
    this.#entities.delete(shard)
  }

  /** What is parked of a shard's entities. */
  of(shard: number): ReadonlyArray<ParkedEntity> {
    const entities = this.#entities.get(shard)
    return entities === undefined || entities.size === 0 ? none : [...entities.values()]
  }

  get count(): number {
    let count = 0
    for (const shard of this.#entities.keys()) count += this.countOf(shard)
    return count
  }

  /** Events that are parked of a shard. */
  countOf(shard: number): number {
    let count = 0
    const entities = this.#entities.get(shard)
    if (entities !== undefined) for (const entity of entities.values()) count += entity.count
    return count
  }

  /** Applies what can be applied and parks the rest; afterwards the position may move past all of it. */
  apply(shard: number, entries: ReadonlyArray<ConsumedEntry>) {
    return this.#locked(
      shard,
      Effect.gen({ self: this }, function* () {
        const [free, behind] = this.#divide(shard, entries)
        if (behind.length > 0) yield* this.#park(shard, behind, "")
        if (free.length === 0) return
        if ((yield* this.#try(shard, free)) === undefined) return
        // One by one: only those that fail by themselves are parked.
        for (const one of free) {
          if (this.#waits(shard, one.entry)) {
            yield* this.#park(shard, [one], "")
            continue
          }
          const why = yield* this.#try(shard, [one])
          if (why === undefined) continue
          yield* this.#park(shard, [one], why)
          const { id, kind, seq, topic } = one.entry
          yield* Effect.logError("event parked: it can't be handled; see `parley parked`").pipe(
            Effect.annotateLogs({ consumer: this.consumer, shard, topic, id, seq, kind, why })
          )
        }
      })
    )
  }

  /** What is parked for this consumer, in order, the first of at most `limit` in all. */
  list(limit: number) {
    return this.#store
      .list(limit)
      .pipe(Effect.map((events) => events.filter(({ consumer }) => consumer === this.consumer)))
  }

  /** Tries an entity's parked events again, in order. */
  retry(topic: Entry["topic"], id: string) {
    return this.#wish(topic, id, (entity) =>
      Effect.gen({ self: this }, function* () {
        let written = 0
        let last = 0
        const left = (why: string): Retried => ({ written, left: this.#left(entity), why })
        for (let after: string | undefined = undefined; ;) {
          const page: ReadonlyArray<ParkedEvent> = yield* this.#store.of(this.consumer, topic, id, pageEvents)
          const first = page[0]
          if (first === undefined) break
          // The same again: it is there still.
          if (after === `${first.generation}/${first.seq}`) return left(first.why)
          after = `${first.generation}/${first.seq}`
          for (const parked of page) {
            const entry = decodeParked(parked)
            const why = yield* this.#try(entity.shard, [{ entry, position: 0 }])
            if (why !== undefined) {
              yield* this.#store.put([{ ...parked, why }])
              if (this.#options.keepsOrder) return left(why)
              continue
            }
            yield* this.#remove(entity, parked)
            written++
            last = entry.seq
          }
        }
        yield* this.#options.sync
        this.#release(entity, last)
        return left("")
      })
    )
  }

  /** Writes an event without its text; what waits behind it is the next to be tried. */
  drop(topic: Entry["topic"], id: string, seq: number) {
    return this.#wish(topic, id, (entity) =>
      Effect.gen({ self: this }, function* () {
        const [first] = yield* this.#store.of(this.consumer, topic, id, 1)
        if (first === undefined || first.seq !== seq) {
          return yield* new ParkedRefused({ why: "only the first parked event of an entity can be dropped" })
        }
        const rest = this.#options.withoutText?.(decodeParked(first))
        if (rest === undefined) {
          return yield* new ParkedRefused({
            why: `others build on an event of kind "${first.kind}": it can't be dropped`
          })
        }
        for (const entry of rest) {
          const why = yield* this.#try(entity.shard, [{ entry, position: 0 }])
          if (why !== undefined) return yield* new ParkedRefused({ why: `not even without its text: ${why}` })
        }
        yield* this.#options.sync
        yield* this.#remove(entity, first)
        const left = this.#left(entity)
        if (left === 0) this.#release(entity, seq)
        return { left }
      })
    )
  }

  /** Undefined: all were applied; else why they can't be, ever. What may be possible later fails. */
  #try(shard: number, entries: ReadonlyArray<ConsumedEntry>): Effect.Effect<string | undefined, E> {
    return this.#options.apply(shard, entries).pipe(
      Effect.as(undefined),
      Effect.catchCause((cause) => {
        const error = Cause.findErrorOption(cause)
        const defect = Cause.findDefect(cause)
        const why = Option.isSome(error)
          ? this.#options.poison(error.value)
          : Result.isSuccess(defect)
            ? textOf(defect.success)
            : undefined
        return why === undefined ? Effect.failCause(cause) : Effect.succeed(why)
      })
    )
  }

  #park(shard: number, entries: ReadonlyArray<ConsumedEntry>, why: string) {
    return Effect.gen({ self: this }, function* () {
      if (this.countOf(shard) + entries.length > parkedEventsMax) {
        return yield* new ParkingFull({ consumer: this.consumer, shard, why })
      }
      const parkedAt = Date.now()
      yield* this.#store.put(
        entries.map(({ entry }) => ({
          consumer: this.consumer,
          topic: entry.topic,
          id: entry.id,
          generation: entry.generation,
          seq: entry.seq,
          shard,
          kind: entry.kind,
          why,
          parkedAt,
          event: encodeParked(entry)
        }))
      )
      // Put again after a crash or a failed step they are counted twice: the store knows.
      this.#keep(shard, yield* this.#store.entities(this.consumer))
    })
  }

  #keep(shard: number, entities: ReadonlyArray<ParkedEntity>): void {
    const here = this.#shard(shard)
    for (const entity of entities) if (entity.shard === shard) here.set(keyOf(entity), entity)
  }

  #remove(entity: ParkedEntity, parked: ParkedEvent) {
    return this.#store.remove([parked]).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          const left = this.#left(entity) - 1
          this.#shard(entity.shard).set(keyOf(entity), { ...entity, count: left })
        })
      )
    )
  }

  #release(entity: ParkedEntity, seq: number): void {
    this.#shard(entity.shard).delete(keyOf(entity))
    const { id, shard, topic } = entity
    this.#options.released?.({ shard, topic, id, seq })
  }

  #wish<A, E2>(topic: Entry["topic"], id: string, run: (entity: ParkedEntity) => Effect.Effect<A, E2>) {
    return Effect.suspend((): Effect.Effect<A, E2 | ParkedRefused | StoreUnavailable> => {
      for (const [shard, entities] of this.#entities) {
        const entity = entities.get(keyOf({ topic, id }))
        if (entity !== undefined) return this.#locked(shard, run(entity))
      }
      return Effect.flatMap(this.#store.entities(this.consumer), (entities) => {
        const elsewhere = entities.find((entity) => entity.topic === topic && entity.id === id)
        return new ParkedRefused({
          why:
            elsewhere === undefined
              ? "nothing of it is parked"
              : `shard ${elsewhere.shard} is not worked on here now: try again in a moment`
        })
      })
    })
  }

  #divide(
    shard: number,
    entries: ReadonlyArray<ConsumedEntry>
  ): [free: ReadonlyArray<ConsumedEntry>, behind: ReadonlyArray<ConsumedEntry>] {
    const entities = this.#entities.get(shard)
    if (!this.#options.keepsOrder || entities === undefined || entities.size === 0) return [entries, []]
    const free: Array<ConsumedEntry> = []
    const behind: Array<ConsumedEntry> = []
    for (const one of entries) (entities.has(keyOf(one.entry)) ? behind : free).push(one)
    return [free, behind]
  }

  #waits(shard: number, entry: Entry): boolean {
    return this.#options.keepsOrder && this.#entities.get(shard)?.has(keyOf(entry)) === true
  }

  #left(entity: ParkedEntity): number {
    return this.#entities.get(entity.shard)?.get(keyOf(entity))?.count ?? 0
  }

  #shard(shard: number): Map<string, ParkedEntity> {
    let entities = this.#entities.get(shard)
    if (entities === undefined) this.#entities.set(shard, (entities = new Map()))
    return entities
  }

  #locked<A, E2>(shard: number, effect: Effect.Effect<A, E2>): Effect.Effect<A, E2> {
    let lock = this.#locks.get(shard)
    if (lock === undefined) this.#locks.set(shard, (lock = Semaphore.makeUnsafe(1)))
    return lock.withPermits(1)(effect)
  }
}

const textOf = (defect: unknown): string =>
  defect instanceof Error ? `${defect.name}: ${defect.message}` : String(defect)

/** What operators see of all consumers' parked events, and do about them. */
export class ParkedOperations extends Context.Service<
  ParkedOperations,
  {
    readonly register: (parking: Operable) => void
    readonly consumers: () => Iterable<Operable>
    readonly find: (consumer: string) => Operable | undefined
  }
>()("@parley/actors/ParkedOperations") {
  static readonly layer = Layer.sync(ParkedOperations, () => {
    const all = new Map<string, Operable>()
    return ParkedOperations.of({
      register: (parking) => void all.set(parking.consumer, parking),
      consumers: () => all.values(),
      find: (consumer) => all.get(consumer)
    })
  })
}

/** A consumer's parking, whatever its own failures are. */
export type Operable = Pick<Parking<unknown>, "consumer" | "count" | "list" | "retry" | "drop">

/** Makes a consumer's parking, and shows it to operators. The store is asked when the first shard begins. */
export const makeParking = <E>(options: ParkingOptions<E>) =>
  Effect.gen(function* () {
    const store = yield* ParkedEvents
    const operations = yield* ParkedOperations
    const parking = new Parking(options, store)
    operations.register(parking)
    return parking
  })
