/**
 * The entries of records that this process sealed, as long as somebody holds the record's bytes: a consumer that follows
 * right behind the commits gets them without a hash, a decoder and a second copy of every string. Records that come out
 * of a file or off the bus are other bytes, and are checked and decoded. Hot path: `bench send` watches it.
 */
import { Result } from "effect"
import type { Entry } from "./Entry.ts"
import { decodeRecord } from "./Record.ts"
import type { RecordDamaged } from "./RecordDamaged.ts"

/** On the bytes themselves: a weak table of tens of thousands costs each full collection its longest pause. */
const sealed: unique symbol = Symbol("sealed entries")

interface Sealed extends Uint8Array {
  [sealed]?: ReadonlyArray<Entry>
}

/** The bytes are a sealed record of exactly these entries, and nobody changes them. */
export const rememberSealed = (bytes: Sealed, pending: ReadonlyArray<{ readonly entry: Entry }>): void => {
  const entries: Array<Entry> = []
  for (const { entry } of pending) entries.push(entry)
  bytes[sealed] = entries
}

/** The entries of a record, in order; none where it is a checkpoint's or an epoch's. */
export const entriesOfRecord = (bytes: Sealed): Result.Result<ReadonlyArray<Entry>, RecordDamaged> => {
  const known = bytes[sealed]
  return known === undefined ? Result.map(decodeRecord(bytes), (record) => record.entries) : Result.succeed(known)
}
