/**
 * Hot cursors in Redis, in front of the store that has them at rest. The store first, then Redis: a merge succeeds only
 * when the store has it (a session passivates on that, †5), and nobody ever reads from Redis what a loss of Redis could
 * take back. Redis spares the store the reads: a session that wakes gets its whole list in one round trip. Away or
 * flushed it costs reads of the store, nothing else. What Redis missed while it was away for this process is owed: those
 * users are read from the store, here, and their hashes are thrown away before Redis is believed again. Until then another
 * process may read what Redis had before; one that dies owing leaves it so until the cursor moves, or its client offers it.
 */
import { Effect, Exit, Layer, Option, Schedule } from "effect"
import { randomUUID } from "node:crypto"
import { type Cursor, CursorStore, laterCursor } from "../CursorStore.ts"
import { StoreUnavailable } from "../StoreError.ts"
import { forgetCursors, mergeCursors, readCursors } from "./CursorScripts.ts"
import { Redis } from "./Redis.ts"

/** A hash goes when its user was not seen for so long. */
const hotMs = 7 * 24 * 3_600_000
/** A script that goes over more cursors would hold the server up: such a user's come from the store. */
const hotCursorsMax = 5_000
const mergedAtOnceMax = 1_000
/** Users whose hashes Redis has still to forget; past it a merge that Redis misses fails, and its session keeps it. */
const owedUsersMax = 200_000
const owedAtOnce = 32
const owedEvery = Schedule.jittered(Schedule.spaced("500 millis"))

const keyOf = (user: string): string => `cursors:${user}`

const flat = (cursors: ReadonlyArray<Cursor>): ReadonlyArray<string | number> =>
  cursors.flatMap(({ channel, position }) => [channel, position.generation, position.seq])

/** None: it is not what the scripts write. */
const decodeHash = (hash: unknown): Option.Option<ReadonlyArray<Cursor>> => {
  if (!Array.isArray(hash)) return Option.none()
  const cursors: Array<Cursor> = []
  for (let at = 0; at + 1 < hash.length; at += 2) {
    const [channel, value] = [String(hash[at]), String(hash[at + 1])]
    if (channel === "#" || channel === "?") continue
    const [generation, seq] = value.split(":").map(Number)
    if (generation === undefined || seq === undefined || Number.isNaN(generation + seq)) return Option.none()
    cursors.push({ channel, position: { generation, seq } })
  }
  return Option.some(cursors)
}

/** A script takes so many at once, at most. */
const inParts = (cursors: ReadonlyArray<Cursor>): ReadonlyArray<ReadonlyArray<Cursor>> => {
  const parts: Array<ReadonlyArray<Cursor>> = []
  for (let at = 0; at < cursors.length; at += mergedAtOnceMax) parts.push(cursors.slice(at, at + mergedAtOnceMax))
  return parts
}

const mergeBoth = (a: ReadonlyArray<Cursor>, b: ReadonlyArray<Cursor>): ReadonlyArray<Cursor> => {
  const merged = new Map(a.map(({ channel, position }) => [channel, position]))
  for (const { channel, position } of b) {
    const known = merged.get(channel)
    merged.set(channel, known === undefined ? position : laterCursor(known, position))
  }
  return [...merged].map(([channel, position]) => ({ channel, position }))
}

/** User → how often Redis missed something of him; what was missed while it was made good has to be made good again. */
class Owed {
  readonly #users = new Map<string, number>()

  has(user: string): boolean {
    return this.#users.has(user)
  }

  /** False: no more can be remembered. */
  add(user: string): boolean {
    const known = this.#users.get(user)
    if (known === undefined && this.#users.size >= owedUsersMax) return false
    this.#users.set(user, (known ?? 0) + 1)
    return true
  }

  some(count: number): ReadonlyArray<readonly [user: string, times: number]> {
    const some: Array<readonly [string, number]> = []
    for (const entry of this.#users) {
      if (some.length === count) break
      some.push(entry)
    }
    return some
  }

  paid(user: string, times: number): void {
    if (this.#users.get(user) === times) this.#users.delete(user)
  }
}

export const layerRedis: Layer.Layer<CursorStore, never, CursorStore | Redis> = Layer.effect(
  CursorStore,
  Effect.gen(function* () {
    const store = yield* CursorStore
    const redis = yield* Redis
    const owed = new Owed()

    const payOne = ([user, times]: readonly [string, number]) =>
      redis.run(forgetCursors, [keyOf(user)], []).pipe(Effect.andThen(Effect.sync(() => owed.paid(user, times))))
    const pay = Effect.gen(function* () {
      for (let some = owed.some(owedAtOnce); some.length > 0; some = owed.some(owedAtOnce)) {
        yield* Effect.forEach(some, payOne, { concurrency: owedAtOnce, discard: true })
      }
    })
    // Away still, as a rule: the next round tries again, and what is owed stays.
    yield* Effect.exit(pay).pipe(Effect.repeat(owedEvery), Effect.forkScoped)

    /** Redis first, the store where Redis does not have all of it; what the store answers is put back. */
    const read = Effect.fnUntraced(function* (user: string) {
      if (owed.has(user)) return yield* store.read(user)
      const nonce = randomUUID()
      const hot = yield* Effect.exit(redis.run(readCursors, [keyOf(user)], [nonce, hotMs]))
      if (Exit.isSuccess(hot)) {
        const known = decodeHash(hot.value)
        // Something was missed while Redis was asked: its answer may be from before that.
        if (Option.isSome(known) && !owed.has(user)) return known.value
      }
      const rows = yield* store.read(user)
      if (Exit.isFailure(hot) || rows.length > hotCursorsMax) return rows
      const after = yield* Effect.exit(redis.run(mergeCursors, [keyOf(user)], [nonce, hotMs, ...flat(rows)]))
      const known = Exit.isSuccess(after) ? decodeHash(after.value) : Option.none<ReadonlyArray<Cursor>>()
      return Option.isSome(known) ? mergeBoth(rows, known.value) : rows
    })

    /** Whether Redis has it, too. */
    const show = (user: string, cursors: ReadonlyArray<Cursor>) =>
      owed.has(user)
        ? Effect.succeed(false)
        : Effect.forEach(
            inParts(cursors),
            (part) => redis.run(mergeCursors, [keyOf(user)], ["", hotMs, ...flat(part)]),
            { discard: true }
          ).pipe(Effect.match({ onFailure: () => false, onSuccess: () => true }))

    // Once the store has it nobody stops it: what Redis lacks then would be owed by nobody.
    const merge = (user: string, cursors: ReadonlyArray<Cursor>): Effect.Effect<void, StoreUnavailable> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          if (cursors.length === 0) return
          yield* restore(store.merge(user, cursors))
          if ((yield* show(user, cursors)) || owed.add(user)) return
          return yield* new StoreUnavailable({
            store: "redis",
            cause: new Error(`it has missed cursors of ${owedUsersMax} users: this session keeps its own meanwhile`)
          })
        })
      )

    return CursorStore.of({ read, merge, ofChannel: (channel) => store.ofChannel(channel) })
  })
)
