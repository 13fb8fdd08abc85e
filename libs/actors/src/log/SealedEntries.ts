/**
 * The entries of records that this process sealed, for its consumers, which follow right behind the commits: they get them
 * without a hash, a decoder and a second copy of every string, and the record's bytes need not be kept for them
 * (`Append.content`). Records that come out of a file or off the bus are checked and decoded. Hot path: bench `send` watches it.
 */
import type { LogRecord, OwnRecord } from "@parley/storage/EventLog"
import { Result } from "effect"
import type { Entry } from "./Entry.ts"
import { decodeRecord } from "./Record.ts"
import { RecordDamaged } from "./RecordDamaged.ts"

export class SealedEntries {
  readonly entries: ReadonlyArray<Entry>

  constructor(pending: ReadonlyArray<{ readonly entry: Entry }>) {
    const entries: Array<Entry> = []
    for (const { entry } of pending) entries.push(entry)
    this.entries = entries
  }
}

/** Of an epoch record or a checkpoint: consumers take nothing from it. */
export const nothingSealed = new SealedEntries([])

/** The entries of a record, in order; none where it is a checkpoint's or an epoch's. */
export const entriesOfRecord = (record: LogRecord | OwnRecord): Result.Result<ReadonlyArray<Entry>, RecordDamaged> => {
  if ("bytes" in record) return Result.map(decodeRecord(record.bytes), ({ entries }) => entries)
  if (record.content instanceof SealedEntries) return Result.succeed(record.content.entries)
  return Result.fail(new RecordDamaged({ what: "what this process appended is no record of it" }))
}
