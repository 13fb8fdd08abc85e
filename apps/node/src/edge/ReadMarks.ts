/**
 * The read marks that sessions took from this edge's clients of late. A session writes its cursors behind (†5), so an
 * owner that is killed takes the newest along; its clients are connected here, and have no reason to sync, which is when
 * they would offer them again. So where a shard has another owner, its marks are offered from here: a mark is merged by
 * max, within its generation, so what was stored after all, or moved on, or marked unread since, stays as it is.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { errorTable } from "@parley/protocol/ApiError"
import type { Position } from "@parley/protocol/Ids"
import { laterCursor } from "@parley/storage/CursorStore"
import { ask } from "./OwnerAnswers.ts"

/** For how long a mark is kept: longer than a store is away while chat goes on unnoticed. */
export const keptMs = 60_000
/** The oldest is forgotten for the one beyond: its device offers it when it syncs. */
export const marksMax = 100_000
/** An offer that could not be taken is made again at each sweep, while its mark is no older than this. */
export const offeredMsMax = 600_000
/** Under way at once, of all shards: a new owner has sends to answer, too. */
export const offeredAtOnceMax = 16

export interface ReadMark {
  readonly user: string
  readonly channel: string
  readonly cursor: Position
}

interface Kept extends ReadMark {
  readonly shard: number
  readonly at: number
}

export interface ReadMarksOptions {
  readonly edge: string
  readonly calls: OwnerCalls["Service"]
  /** Monotonic, in ms. */
  readonly now: () => number
}

export class ReadMarks {
  readonly #options: ReadMarksOptions
  /** By user and channel, the oldest first. */
  readonly #kept = new Map<string, Kept>()
  /** To be offered; each mark at most once. */
  readonly #due = new Map<string, Kept>()
  /** Could not be taken, or not be counted, now: as long as a store is away, say. */
  readonly #again = new Map<string, Kept>()
  #underWay = 0

  constructor(options: ReadMarksOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#kept.size
  }

  /** A session has taken it. */
  taken(user: string, channel: string, cursor: Position): void {
    const key = `${user} ${channel}`
    const known = this.#kept.get(key)
    if (known !== undefined && laterCursor(cursor, known.cursor) !== cursor) return
    this.#kept.delete(key)
    const { calls, now } = this.#options
    this.#kept.set(key, { user, channel, cursor, shard: calls.shardOf(user), at: now() })
    if (this.#kept.size > marksMax) this.#dropOldest()
  }

  /** Another owner has the shard. */
  moved(shard: number): void {
    this.sweep()
    for (const [key, mark] of this.#kept) if (mark.shard === shard) this.#due.set(key, mark)
    this.#offer()
  }

  /** Called now and then. */
  sweep(): void {
    const now = this.#options.now()
    for (const [key, { at }] of this.#kept) {
      if (at >= now - keptMs) break
      this.#kept.delete(key)
    }
    for (const [key, mark] of this.#again) if (mark.at >= now - offeredMsMax) this.#due.set(key, mark)
    this.#again.clear()
    this.#offer()
  }

  #dropOldest(): void {
    for (const key of this.#kept.keys()) {
      this.#kept.delete(key)
      return
    }
  }

  #offer(): void {
    for (const [key, mark] of this.#due) {
      if (this.#underWay >= offeredAtOnceMax) return
      this.#due.delete(key)
      this.#underWay++
      this.#offerOne(mark, (again) => {
        this.#underWay--
        // A newer one of the same channel may be due already.
        if (again && this.#again.size < marksMax && !this.#due.has(key)) this.#again.set(key, mark)
        this.#offer()
      })
    }
  }

  /** `again`: it may be taken another time. What never will be, the device has still. */
  #offerOne({ channel, cursor, user }: Kept, done: (again: boolean) => void): void {
    const { calls, edge } = this.#options
    const { generation, seq } = cursor
    const from = { generation: 0, seq }
    ask(calls, calls.shardOf(channel), { _tag: "Unread", user, channel, cursor: from }, (counted) => {
      if (!("ok" in counted)) return done(errorTable[counted.failure.code].retryable)
      const { head, mentions, unread } = counted.ok
      // No connection is left out: all of them hear of it, as of any other move.
      const caller = { user, device: "", connection: 0, edge }
      ask(
        calls,
        calls.shardOf(user),
        { _tag: "MoveCursor", caller, channel, seq, unread, mentions, head, generation },
        (moved) => done("failure" in moved && errorTable[moved.failure.code].retryable)
      )
    })
  }
}
