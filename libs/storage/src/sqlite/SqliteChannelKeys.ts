/**
 * The integer that stands for a channel in every table, given at the channel's first write and never changed; so it may
 * be remembered. Numbers of a transaction that was rolled back must be forgotten (`forget`): they are given again.
 */
import type { DatabaseSync } from "node:sqlite"
import { rowOf } from "./StoreFile.ts"

/** Keys remembered by one thread; past it, it begins anew. */
const rememberedMax = 50_000

export interface ChannelKeys {
  find(channel: string): number | undefined
  forget(): void
}

export interface GrowingChannelKeys extends ChannelKeys {
  /** Gives the channel a key where it has none; within a transaction. */
  ensure(channel: string): number
}

export const channelKeys = (db: DatabaseSync): ChannelKeys => {
  const select = db.prepare("SELECT key FROM channels WHERE id = ?")
  const known = new Map<string, number>()
  return {
    find: (channel) => {
      const remembered = known.get(channel)
      if (remembered !== undefined) return remembered
      const row = rowOf<{ key: number }>(select, channel)
      if (row === undefined) return undefined
      if (known.size >= rememberedMax) known.clear()
      known.set(channel, row.key)
      return row.key
    },
    forget: () => known.clear()
  }
}

export const growingChannelKeys = (db: DatabaseSync): GrowingChannelKeys => {
  const keys = channelKeys(db)
  const insert = db.prepare("INSERT INTO channels (id, key) VALUES (?, ?)")
  const last = db.prepare("SELECT ifnull(max(key), 0) AS key FROM channels")
  /** The largest that was given; undefined: the table says. This connection is the only one that gives any. */
  let given: number | undefined
  const give = (channel: string): number => {
    const key = (given ?? rowOf<{ key: number }>(last)?.key ?? 0) + 1
    insert.run(channel, key)
    given = key
    return key
  }
  return {
    ...keys,
    ensure: (channel) => keys.find(channel) ?? give(channel),
    forget: () => {
      keys.forget()
      given = undefined
    }
  }
}
