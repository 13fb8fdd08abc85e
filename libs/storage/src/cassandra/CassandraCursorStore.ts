/**
 * Cursors at rest. A cursor's write timestamp is its generation and seq, so it only grows, whoever writes it, in whatever
 * order (†32, †5). Merges are gathered while the ones before are written, so the members of a channel who read it at the
 * same time are one request; a merge succeeds when Cassandra has it. Cursors by channel are kept of small channels only.
 */
import { Clock, Deferred, Effect, Exit, Layer, Semaphore } from "effect"
import type { Position } from "@parley/protocol/Ids"
import { type Cursor, CursorStore, laterCursor } from "../CursorStore.ts"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { Cassandra, type Row } from "./Cassandra.ts"
import { answerRowsMax, unavailable } from "./CassandraClient.ts"
import { big, numberOf, textOf } from "./Columns.ts"
import { generationLimit, select, seqLimit, timestampOf, Upsert } from "./Cql.ts"
import { allRows, PartitionWrites } from "./Partitions.ts"
import { SmallChannels } from "./SmallChannels.ts"

/** Cursors that wait for the requests before them; more are refused, and their sessions keep them. */
const gatheredMax = 100_000

const set = ["generation", "seq"]
const byUser = new Upsert({ table: "read_cursors_by_user", key: ["user", "channel"], set })
const byChannel = new Upsert({ table: "read_cursors_by_channel", key: ["channel", "user"], set })
const ofUser = select(
  "SELECT channel, generation, seq FROM read_cursors_by_user WHERE user = ? AND channel > ? LIMIT ?"
)
const ofChannel = select("SELECT user, generation, seq FROM read_cursors_by_channel WHERE channel = ? LIMIT ?")

const positionOf = (row: Row): Position => ({ generation: numberOf(row, "generation"), seq: numberOf(row, "seq") })

/** Cursors that are written together; whoever gave some waits for `done`. */
interface Batch {
  readonly users: Map<string, Map<string, Position>>
  readonly done: Deferred.Deferred<void, StoreUnavailable>
  size: number
}

const emptyBatch = (): Batch => ({ users: new Map(), done: Deferred.makeUnsafe(), size: 0 })

const gather = (batch: Batch, user: string, cursors: ReadonlyArray<Cursor>): void => {
  const own = batch.users.get(user) ?? new Map<string, Position>()
  batch.users.set(user, own)
  for (const { channel, position } of cursors) {
    const known = own.get(channel)
    if (known === undefined) batch.size++
    // No channel has more seqs than a timestamp can hold: a cursor beyond is at its end.
    const seq = Math.min(position.seq, seqLimit - 1)
    const bounded = { generation: position.generation, seq }
    own.set(channel, known === undefined ? bounded : laterCursor(known, bounded))
  }
}

/** Of the batch's channels only `small` get their cursors by channel. */
const writesOf = ({ users }: Batch, small: ReadonlySet<string>): PartitionWrites => {
  const writes = new PartitionWrites()
  for (const [user, own] of users) {
    for (const [channel, position] of own) {
      const { generation, seq } = position
      const timestamp = timestampOf(position)
      writes.add(`u/${user}`, byUser.at(timestamp, generation, big(seq), user, channel))
      if (small.has(channel)) writes.add(`c/${channel}`, byChannel.at(timestamp, generation, big(seq), channel, user))
    }
  }
  return writes
}

export const layerCassandra: Layer.Layer<CursorStore, never, Cassandra> = Layer.effect(
  CursorStore,
  Effect.gen(function* () {
    const cassandra = yield* Cassandra
    const channels = new SmallChannels(cassandra)
    const scope = yield* Effect.scope
    const one = yield* Semaphore.make(1)
    let open: Batch | undefined

    const write = (batch: Batch): Effect.Effect<void, StoreUnavailable | StoreRefused> =>
      Effect.gen(function* () {
        const names = new Set([...batch.users.values()].flatMap((own) => [...own.keys()]))
        const small = yield* channels.among(names, yield* Clock.currentTimeMillis)
        yield* writesOf(batch, small).run(cassandra)
      })

    /** One after the other: what comes meanwhile is the next. */
    const flush = (batch: Batch): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (open === batch) open = undefined
        return write(batch)
      }).pipe(
        one.withPermits(1),
        // A session that is told so keeps its cursors; that one was refused says nothing about the others.
        Effect.mapError((error) => (error._tag === "StoreRefused" ? unavailable(error) : error)),
        Effect.exit,
        Effect.flatMap((exit) => Deferred.done(batch.done, exit)),
        Effect.onInterrupt(() => Deferred.done(batch.done, Exit.fail(unavailable(new Error("shutting down"))))),
        Effect.asVoid
      )

    const merge = (user: string, cursors: ReadonlyArray<Cursor>): Effect.Effect<void, StoreUnavailable> =>
      Effect.suspend(() => {
        if (cursors.length === 0) return Effect.void
        const beyond = cursors.find(({ position }) => position.generation >= generationLimit)
        if (beyond !== undefined) {
          return Effect.fail(unavailable(new Error(`a cursor of generation ${beyond.position.generation}`)))
        }
        if (open !== undefined && open.size + cursors.length > gatheredMax) {
          return Effect.fail(unavailable(new Error(`${open.size} cursors wait already`)))
        }
        if (open !== undefined) {
          gather(open, user, cursors)
          return Deferred.await(open.done)
        }
        const batch = (open = emptyBatch())
        gather(batch, user, cursors)
        return Effect.andThen(Effect.forkIn(flush(batch), scope), Deferred.await(batch.done))
      })

    return CursorStore.of({
      merge,
      read: (user) =>
        allRows((after: Cursor | undefined, limit) =>
          Effect.map(cassandra.read(ofUser, [user, after?.channel ?? "", limit]), (rows) =>
            rows.map((row) => ({ channel: textOf(row, "channel"), position: positionOf(row) }))
          )
        ),
      ofChannel: (channel) =>
        Effect.map(cassandra.read(ofChannel, [channel, answerRowsMax]), (rows) =>
          rows.map((row) => ({ user: textOf(row, "user"), position: positionOf(row) }))
        )
    })
  })
)
