/**
 * Fills a data directory offline with channels, members, sessions and messages, through the product's own storage layers
 * (SqliteStores under the directory's lock, synced at the end), because a million channels made by ops would take
 * longer than all benches. The log stays empty: no record, no consumer position, so that nothing is claimed that the
 * store does not have; the first start writes each shard's first epoch record, and channels wake from the store. Benches
 * read what was seeded through a started server before they measure.
 */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { Directory, type ChannelRow, type Membership } from "@parley/storage/Directory"
import type { StoredEvent } from "@parley/storage/MessageStore"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { layer as layerSqliteStores } from "@parley/storage/sqlite/SqliteStores"
import { StoreSync } from "@parley/storage/StoreSync"
import { say } from "../Report.ts"
import { type SeedChannel, seedChannel, type SeedPart } from "./SeedChannel.ts"
import { SeedSessions } from "./SeedSessions.ts"

/** Rows gathered before they are written. */
const batchRows = 20_000

export interface SeedOptions {
  readonly channels: Iterable<SeedChannel>
  /**
   * The same channels in the order in which their messages are written, after all of them were made; undefined: each
   * channel's messages follow at once. In a store that was in use, neighbours did not get their messages together.
   */
  readonly messagesOf?: Iterable<SeedChannel>
  /** Users whose sessions are written; the others never connect in the bench, and their sessions are left out. */
  readonly session?: (user: string) => boolean
}

export interface Seeded {
  readonly channels: number
  readonly messages: number
  readonly users: number
  readonly seconds: number
}

/** Writes in batches, as steps; a channel's events, row and members go together. */
class Writer {
  readonly #channels: ChannelStore["Service"]
  events: Array<StoredEvent> = []
  rows: Array<ChannelRow> = []
  members: Array<Membership> = []

  constructor(channels: ChannelStore["Service"]) {
    this.#channels = channels
  }

  get full(): boolean {
    return this.events.length + this.members.length >= batchRows
  }

  flush() {
    const { events, members, rows } = this
    this.events = []
    this.members = []
    this.rows = []
    return this.#channels.write({ events, members, rows, named: [], taken: [] })
  }
}

const fill = ({ channels, messagesOf, session = () => true }: SeedOptions) =>
  Effect.gen(function* () {
    const begun = performance.now()
    const writer = new Writer(yield* ChannelStore)
    const sessions = new SeedSessions()
    let serial = 0
    let count = 0
    let messages = 0
    const write = Effect.fnUntraced(function* (channel: SeedChannel, part: SeedPart) {
      const events = seedChannel(channel, () => ++serial, part)
      let next = events.next()
      for (; next.done !== true; next = events.next()) {
        writer.events.push(next.value)
        if (writer.full) yield* writer.flush()
      }
      return next.value
    })
    for (const channel of channels) {
      const { members, row } = yield* write(channel, messagesOf === undefined ? "all" : "beginning")
      writer.rows.push(row)
      for (const stay of members) {
        writer.members.push(stay)
        if (session(stay.user)) sessions.add(stay)
      }
      count++
      messages += channel.messages
      if (writer.full) yield* writer.flush()
    }
    // Rows of the directory are moved by their channels' messages, as in a server, but not by those of their own step.
    yield* writer.flush()
    for (const channel of messagesOf ?? []) yield* write(channel, "messages")
    yield* writer.flush()
    yield* (yield* Directory).writeSessions([...sessions.rows()])
    yield* (yield* StoreSync).sync
    return { channels: count, messages, users: sessions.users, seconds: (performance.now() - begun) / 1_000 }
  })

export const seed = async (data: string, options: SeedOptions): Promise<Seeded> => {
  const layer = Layer.unwrap(
    DataDirectoryLock.acquire(data).pipe(Effect.as(layerSqliteStores({ file: join(data, "store.sqlite") })))
  )
  const seeded = await Effect.runPromise(Effect.scoped(fill(options).pipe(Effect.provide(layer))))
  say(
    `seeded offline through SqliteStores: ${seeded.channels} channels, ${seeded.messages} messages, sessions of ` +
      `${seeded.users} users, in ${seeded.seconds.toFixed(1)} s; the log is empty until the first start`
  )
  return seeded
}
