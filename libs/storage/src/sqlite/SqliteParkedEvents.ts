/** Parked events in SQLite: what the store's threads run for ParkedEvents. */
import type { DatabaseSync } from "node:sqlite"
import type { ParkedEntity, ParkedEvent, ParkedKey } from "../ParkedEvents.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import { limitOf, rowsOf } from "./StoreFile.ts"

/** Events one list has at most. */
export const parkedListMax = 10_000

export const parkedWrites = (db: DatabaseSync, write: WriteTransaction) => {
  const put = db.prepare(`
    INSERT INTO parked_events (consumer, topic, id, generation, seq, shard, kind, why, parked_at, event)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET why = excluded.why`)
  const remove = db.prepare(
    "DELETE FROM parked_events WHERE consumer = ? AND topic = ? AND id = ? AND generation = ? AND seq = ?"
  )
  return {
    putParked: (events: ReadonlyArray<ParkedEvent>): void =>
      write(() => {
        for (const it of events) {
          put.run(it.consumer, it.topic, it.id, it.generation, it.seq, it.shard, it.kind, it.why, it.parkedAt, it.event)
        }
      }),
    removeParked: (parked: ReadonlyArray<ParkedKey>): void =>
      write(() => {
        for (const it of parked) remove.run(it.consumer, it.topic, it.id, it.generation, it.seq)
      })
  }
}

const columns = "consumer, topic, id, generation, seq, shard, kind, why, parked_at AS parkedAt, event"

export const parkedReads = (db: DatabaseSync) => {
  const order = `ORDER BY consumer, topic, id, generation, seq ${limitOf("?")}`
  const ofEntity = db.prepare(
    `SELECT ${columns} FROM parked_events WHERE consumer = ? AND topic = ? AND id = ? ${order}`
  )
  const all = db.prepare(`SELECT ${columns} FROM parked_events ${order}`)
  const entities = db.prepare(`
    SELECT shard, topic, id, count(*) AS count FROM parked_events WHERE consumer = ?
    GROUP BY topic, id ORDER BY topic, id`)
  const limited = (limit: number) => Math.min(Math.max(limit, 0), parkedListMax)
  return {
    parkedOf: (consumer: string, topic: string, id: string, limit: number): ReadonlyArray<ParkedEvent> =>
      rowsOf<ParkedEvent>(ofEntity, consumer, topic, id, limited(limit)).map((row) => ({ ...row })),
    listParked: (limit: number): ReadonlyArray<ParkedEvent> =>
      rowsOf<ParkedEvent>(all, limited(limit)).map((row) => ({ ...row })),
    parkedEntities: (consumer: string): ReadonlyArray<ParkedEntity> =>
      rowsOf<ParkedEntity>(entities, consumer).map((row) => ({ ...row }))
  }
}
