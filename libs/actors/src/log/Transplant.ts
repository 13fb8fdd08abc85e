/**
 * A shard's records as another log takes them: the same entries, epochs and numbers, with the places that the other log
 * gave to the checkpoints before them. A record names its predecessor by hash, so each is sealed anew, in order. Pure, and
 * the same for the same places: who is cut off begins again and compares. One shard, one use.
 */
import type { LogRecord } from "@parley/storage/EventLog"
import { Result } from "effect"
import { decodeRecord, encodeBody, encodeRecord, noPlace, type RecordPlace, type ShardRecord } from "./Record.ts"
import type { RecordDamaged } from "./RecordDamaged.ts"

export class Transplant {
  readonly #shard: number
  /** Of checkpoints, by where they are in the log that is read. */
  readonly #places = new Map<number, RecordPlace>()
  #last: { readonly old: ShardRecord; readonly hash: string } | undefined
  /** What comes before the first record has been purged: its hash is all that is known of it. */
  #next: { readonly position: number; readonly record: ShardRecord; readonly hash: string } | undefined

  constructor(shard: number) {
    this.#shard = shard
  }

  /** The record's bytes in the other log; what is wrong with it where it is none, or not the successor of the last one. */
  seal({ bytes, position }: LogRecord): Result.Result<Uint8Array, RecordDamaged | string> {
    const decoded = decodeRecord(bytes)
    if (Result.isFailure(decoded)) return Result.fail(decoded.failure)
    const record = decoded.success
    const wrong = this.#unfit(record)
    if (wrong !== undefined) return Result.fail(wrong)
    const header = {
      ...record,
      previous: this.#last?.hash ?? record.previous,
      checkpoint: this.#places.get(record.checkpoint.position) ?? noPlace,
      full: this.#places.get(record.full.position) ?? noPlace
    }
    const sealed = record.kind === "events" ? encodeRecord(header, record.entries) : encodeBody(header, record.body)
    this.#next = { position, record, hash: sealed.hash }
    return Result.succeed(sealed.bytes)
  }

  /** Where the other log put the record that was sealed last. */
  placed(position: number): void {
    const next = this.#next
    if (next === undefined) throw new Error("nothing was sealed")
    const { hash, record } = next
    if (record.kind === "full" || record.kind === "incremental") {
      this.#places.set(next.position, { position, number: record.number })
    }
    this.#last = { old: record, hash }
    this.#next = undefined
  }

  #unfit(record: ShardRecord): string | undefined {
    if (record.shard !== this.#shard) return `it is a record of shard ${record.shard}`
    const { old } = this.#last ?? {}
    if (old === undefined) return undefined
    if (record.number !== old.number + 1) return `number ${record.number} comes after ${old.number}`
    return record.previous === old.hash ? undefined : "its predecessor is another record"
  }
}
