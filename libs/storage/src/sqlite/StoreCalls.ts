/** All that the store's two threads can be asked: the writer's calls and the reader's, over the tables of each seam. */
import type { DatabaseSync } from "node:sqlite"
import { channelKeys, growingChannelKeys } from "./SqliteChannelKeys.ts"
import { cursorReads, cursorWrites } from "./SqliteCursorStore.ts"
import { channelStoreReads, channelStoreWrites } from "./SqliteChannelStore.ts"
import { directoryReads, directoryRows, directoryWrites } from "./SqliteDirectory.ts"
import { mentionReads, mentionRows, mentionWrites } from "./SqliteMentions.ts"
import { parkedReads, parkedWrites } from "./SqliteParkedEvents.ts"
import { messageReads } from "./SqliteMessageReads.ts"
import { messageRows, messageWrites } from "./SqliteMessageWrites.ts"
import { syncWrites } from "./SqliteStoreSync.ts"
import { inTransaction } from "./StoreFile.ts"
import { WrittenHeads } from "./WrittenHeads.ts"

/** Runs one transaction of the writer; what fails leaves nothing behind, keys of channels included. */
export type WriteTransaction = <A>(run: () => A) => A

export const writerCalls = (db: DatabaseSync, heads = new WrittenHeads()) => {
  const keys = growingChannelKeys(db)
  const write: WriteTransaction = (run) => {
    try {
      return inTransaction(db, "BEGIN IMMEDIATE", run)
    } catch (error) {
      keys.forget()
      heads.forget()
      throw error
    }
  }
  const rows = {
    messages: messageRows(db, keys, heads),
    mentions: mentionRows(db, keys),
    directory: directoryRows(db, keys, heads)
  }
  return {
    ...messageWrites(db, rows.messages, write),
    ...cursorWrites(db, keys, write),
    ...directoryWrites(db, rows.directory, write),
    ...mentionWrites(rows.mentions, write),
    ...channelStoreWrites(rows, write),
    ...parkedWrites(db, write),
    ...syncWrites(db)
  }
}
export type WriterCalls = ReturnType<typeof writerCalls>

export const readerCalls = (db: DatabaseSync) => {
  const keys = channelKeys(db)
  return {
    ...messageReads(db, keys),
    ...cursorReads(db, keys),
    ...directoryReads(db, keys),
    ...mentionReads(db, keys),
    ...channelStoreReads(db),
    ...parkedReads(db)
  }
}
export type ReaderCalls = ReturnType<typeof readerCalls>
