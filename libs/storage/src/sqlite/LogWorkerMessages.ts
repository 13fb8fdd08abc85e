/**
 * What the main thread and the log's worker say to each other. Requests are numbered by the main thread; each gets
 * exactly one reply, in order, unless the worker ends first.
 */

/** What the worker is started with. */
export interface LogFileOptions {
  readonly file: string
  readonly softBytes: number
  readonly hardBytes: number
  readonly synchronous: "FULL" | "NORMAL" | "OFF"
  /** Larger records are refused as too large. */
  readonly recordBytesMax: number
  /** The write-ahead file is checkpointed after the commit that takes it past this. */
  readonly walBytesMax: number
  /** Disk space held back in a file of its own, given up when the disk is full so that purging can go on. */
  readonly reserveBytes: number
}

/** A consumer's place in a shard, as it is stored. */
export interface StoredPosition {
  readonly consumer: string
  readonly shard: number
  readonly position: number
}

export type LogRequest =
  /** `buffer` is a LogBatch; it comes back with the outcomes. */
  | { readonly _tag: "Batch"; readonly buffer: ArrayBuffer; readonly positions: ReadonlyArray<StoredPosition> }
  | { readonly _tag: "Positions"; readonly positions: ReadonlyArray<StoredPosition> }
  | { readonly _tag: "Close"; readonly positions: ReadonlyArray<StoredPosition> }
  | { readonly _tag: "Ask"; readonly id: number; readonly ask: LogAsk }

export type LogAsk =
  | { readonly _tag: "Last"; readonly shard: number }
  | { readonly _tag: "Read"; readonly shard: number; readonly position: number }
  | { readonly _tag: "ReadAfter"; readonly shard: number; readonly after: number; readonly bytesMax: number }
  | {
      readonly _tag: "Purge"
      readonly shard: number
      readonly upTo: number
      readonly positions: ReadonlyArray<StoredPosition>
    }
  | { readonly _tag: "Usage" }
  | { readonly _tag: "Shards" }

/** A record whose bytes are not what was written. */
export interface Damage {
  readonly shard: number
  readonly position: number
  readonly what: string
}

export type LogAnswer =
  | { readonly _tag: "Records"; readonly records: ReadonlyArray<{ position: number; bytes: Uint8Array<ArrayBuffer> }> }
  | { readonly _tag: "Usage"; readonly bytes: number }
  | { readonly _tag: "Shards"; readonly shards: ReadonlyArray<number> }
  | { readonly _tag: "Purged" }
  | { readonly _tag: "Damaged"; readonly damage: Damage }
  | { readonly _tag: "Failed"; readonly cause: string }

export type LogReply =
  | {
      readonly _tag: "Opened"
      readonly positions: ReadonlyArray<StoredPosition>
      readonly damage: ReadonlyArray<Damage>
      /** The disk has no room for the reserve: only reserved records are taken until it has. */
      readonly diskFull: boolean
    }
  /** The file is there and is not a log of ours (`damaged`), or it can't be opened now. The worker ends. */
  | { readonly _tag: "NotOpened"; readonly damaged: boolean; readonly what: string }
  /** `cause` is what made outcomes ambiguous, else empty. */
  | {
      readonly _tag: "BatchDone"
      readonly buffer: ArrayBuffer
      readonly cause: string
      readonly positionsStored: boolean
    }
  | { readonly _tag: "PositionsDone"; readonly stored: boolean }
  | { readonly _tag: "Answer"; readonly id: number; readonly answer: LogAnswer }
  /** The file is in doubt: the worker takes nothing more and ends, so that it is opened anew. */
  | { readonly _tag: "Ending"; readonly what: string }
  | { readonly _tag: "Closed" }
