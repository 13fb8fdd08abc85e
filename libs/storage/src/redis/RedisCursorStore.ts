/**
 * Hot cursors in Redis, in front of the store that has them at rest. The store first, then Redis: a merge succeeds only
 * when the store has it (a session passivates on that, †5), and nobody ever reads from Redis what a loss of Redis could
 * take back. Redis spares the store the reads: a session that wakes gets its whole list in one round trip, and so does a
 * small channel, which shows who has read how far. Away or flushed it costs reads of the store, nothing else. What Redis
 * missed while it was away for this process is owed: those users and channels are read from the store, here, and their
 * hashes are thrown away before Redis is believed again. Until then another process may read what Redis had before; one
 * that dies owing leaves it so until the cursor moves, or its client offers it.
 */
import { Effect, Exit, Layer, Option, Schedule } from "effect"
import { randomUUID } from "node:crypto"
import type { Position } from "@parley/protocol/Ids"
import { type Cursor, CursorStore, laterCursor } from "../CursorStore.ts"
import { StoreUnavailable } from "../StoreError.ts"
import { forgetCursors, mergeAskedCursors, mergeCursors, readCursors } from "./CursorScripts.ts"
import { Redis, type RedisScript } from "./Redis.ts"

/** A hash goes when its user, or channel, was not seen for so long. */
const hotMs = 7 * 24 * 3_600_000
/** A script that goes over more cursors would hold the server up: such a hash is not made, they come from the store. */
const hotCursorsMax = 5_000
const mergedAtOnceMax = 1_000
/** Hashes that Redis has still to forget; past it a merge that Redis misses fails, and its session keeps it. */
const owedMax = 200_000
const owedAtOnce = 32
/** Channels of one merge that are told at once: as many merges as a runner has under way must stay below what Redis takes. */
const channelsAtOnce = 8
const owedEvery = Schedule.jittered(Schedule.spaced("500 millis"))

const ofUser = (user: string): string => `cursors:${user}`
const ofChannel = (channel: string): string => `cursors-of:${channel}`

/** Of a user's hash: a channel's; of a channel's: a user's. */
interface Field {
  readonly name: string
  readonly position: Position
}

const flat = (fields: ReadonlyArray<Field>): ReadonlyArray<string | number> =>
  fields.flatMap(({ name, position }) => [name, position.generation, position.seq])

/** None: it is not what the scripts write. */
const decodeHash = (hash: unknown): Option.Option<ReadonlyArray<Field>> => {
  if (!Array.isArray(hash)) return Option.none()
  const fields: Array<Field> = []
  for (let at = 0; at + 1 < hash.length; at += 2) {
    const [name, value] = [String(hash[at]), String(hash[at + 1])]
    if (name === "#" || name === "?") continue
    const [generation, seq] = value.split(":").map(Number)
    if (generation === undefined || seq === undefined || Number.isNaN(generation + seq)) return Option.none()
    fields.push({ name, position: { generation, seq } })
  }
  return Option.some(fields)
}

/** A script takes so many at once, at most. */
const inParts = (fields: ReadonlyArray<Field>): ReadonlyArray<ReadonlyArray<Field>> => {
  const parts: Array<ReadonlyArray<Field>> = []
  for (let at = 0; at < fields.length; at += mergedAtOnceMax) parts.push(fields.slice(at, at + mergedAtOnceMax))
  return parts
}

const mergeBoth = (a: ReadonlyArray<Field>, b: ReadonlyArray<Field>): ReadonlyArray<Field> => {
  const merged = new Map(a.map(({ name, position }) => [name, position]))
  for (const { name, position } of b) {
    const known = merged.get(name)
    merged.set(name, known === undefined ? position : laterCursor(known, position))
  }
  return [...merged].map(([name, position]) => ({ name, position }))
}

/** Hash → how often Redis missed something of it; what was missed while it was made good has to be made good again. */
class Owed {
  readonly #hashes = new Map<string, number>()

  has(key: string): boolean {
    return this.#hashes.has(key)
  }

  /** False: no more can be remembered. */
  add(key: string): boolean {
    const known = this.#hashes.get(key)
    if (known === undefined && this.#hashes.size >= owedMax) return false
    this.#hashes.set(key, (known ?? 0) + 1)
    return true
  }

  some(count: number): ReadonlyArray<readonly [key: string, times: number]> {
    const some: Array<readonly [string, number]> = []
    for (const entry of this.#hashes) {
      if (some.length === count) break
      some.push(entry)
    }
    return some
  }

  paid(key: string, times: number): void {
    if (this.#hashes.get(key) === times) this.#hashes.delete(key)
  }
}

export const layerRedis: Layer.Layer<CursorStore, never, CursorStore | Redis> = Layer.effect(
  CursorStore,
  Effect.gen(function* () {
    const store = yield* CursorStore
    const redis = yield* Redis
    const owed = new Owed()

    const payOne = ([key, times]: readonly [string, number]) =>
      redis.run(forgetCursors, [key], []).pipe(Effect.andThen(Effect.sync(() => owed.paid(key, times))))
    const pay = Effect.gen(function* () {
      for (let some = owed.some(owedAtOnce); some.length > 0; some = owed.some(owedAtOnce)) {
        yield* Effect.forEach(some, payOne, { concurrency: owedAtOnce, discard: true })
      }
    })
    // Away still, as a rule: the next round tries again, and what is owed stays.
    yield* Effect.exit(pay).pipe(Effect.repeat(owedEvery), Effect.forkScoped)

    /** Redis first, the store where Redis does not have all of it; what the store answers is put back. */
    const readHash = Effect.fnUntraced(function* (
      key: string,
      stored: Effect.Effect<ReadonlyArray<Field>, StoreUnavailable>
    ) {
      if (owed.has(key)) return yield* stored
      const nonce = randomUUID()
      const hot = yield* Effect.exit(redis.run(readCursors, [key], [nonce, hotMs]))
      if (Exit.isSuccess(hot)) {
        const known = decodeHash(hot.value)
        // Something was missed while Redis was asked: its answer may be from before that.
        if (Option.isSome(known) && !owed.has(key)) return known.value
      }
      const rows = yield* stored
      if (Exit.isFailure(hot) || rows.length > hotCursorsMax) return rows
      const after = yield* Effect.exit(redis.run(mergeCursors, [key], [nonce, hotMs, ...flat(rows)]))
      const known = Exit.isSuccess(after) ? decodeHash(after.value) : Option.none<ReadonlyArray<Field>>()
      return Option.isSome(known) ? mergeBoth(rows, known.value) : rows
    })

    /** Whether Redis has it, too, or is known not to. */
    const show = (key: string, script: RedisScript, fields: ReadonlyArray<Field>) =>
      (owed.has(key)
        ? Effect.succeed(false)
        : Effect.forEach(inParts(fields), (part) => redis.run(script, [key], ["", hotMs, ...flat(part)]), {
            discard: true
          }).pipe(Effect.match({ onFailure: () => false, onSuccess: () => true }))
      ).pipe(Effect.map((shown) => shown || owed.add(key)))

    // Once the store has it nobody stops it: what Redis lacks then would be owed by nobody.
    const merge = (user: string, cursors: ReadonlyArray<Cursor>): Effect.Effect<void, StoreUnavailable> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          if (cursors.length === 0) return
          yield* restore(store.merge(user, cursors))
          const channels = Effect.forEach(
            cursors,
            ({ channel, position }) => show(ofChannel(channel), mergeAskedCursors, [{ name: user, position }]),
            { concurrency: channelsAtOnce }
          )
          const fields = cursors.map(({ channel, position }) => ({ name: channel, position }))
          const [shown, told] = yield* Effect.all([show(ofUser(user), mergeCursors, fields), channels], {
            concurrency: 2
          })
          if (shown && told.every((it) => it)) return
          return yield* new StoreUnavailable({
            store: "redis",
            cause: new Error(
              `it has missed cursors of ${owedMax} users and channels: this session keeps its own meanwhile`
            )
          })
        })
      )

    return CursorStore.of({
      read: (user) =>
        readHash(
          ofUser(user),
          Effect.map(store.read(user), (rows) => rows.map(({ channel, position }) => ({ name: channel, position })))
        ).pipe(Effect.map((fields) => fields.map(({ name, position }) => ({ channel: name, position })))),
      merge,
      ofChannel: (channel) =>
        readHash(
          ofChannel(channel),
          Effect.map(store.ofChannel(channel), (rows) => rows.map(({ position, user }) => ({ name: user, position })))
        ).pipe(Effect.map((fields) => fields.map(({ name, position }) => ({ user: name, position }))))
    })
  })
)
