/**
 * The rows of sessions, as the log's events make them: the state that the row has, carried forward, written whole. A
 * session's first event needs no row, nor does one that follows what was written here last: that state is kept, within a
 * bound of bytes. A row is what its events up to its user seq make of it, whoever writes it; so a kept state is as good
 * as the row where the next event is the one after it, and where another persister went on meanwhile it is not, and the
 * row is read (†32). What failed to be written is not kept.
 */
import { Effect, Option } from "effect"
import type { Directory } from "@parley/storage/Directory"
import type { Entry } from "@parley/actors/log/Entry"
import { replay, SessionState } from "@parley/actors/session/SessionState"

/** Of kept states, in one process. */
export const keptBytesMax = 16 * 1024 * 1024
/** What keeping a state takes besides its bytes, roughly. */
const keptEachBytes = 256
/** Rows that are read at once. */
const readsAtOnce = 32

/** A state at rest, as it was written. */
interface Kept {
  readonly generation: number
  readonly userSeq: number
  readonly state: Uint8Array
}

export class SessionRows {
  readonly #directory: Directory["Service"]
  readonly #bytesMax: number
  /** The one that was written longest ago first. */
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  constructor(directory: Directory["Service"], bytesMax = keptBytesMax) {
    this.#directory = directory
    this.#bytesMax = bytesMax
  }

  get keptBytes(): number {
    return this.#bytes
  }

  /** What these entries, all of sessions and each session's in order, make of the rows; a repeat of them makes the same. */
  write(entries: ReadonlyArray<Entry>) {
    return Effect.gen({ self: this }, function* () {
      const firsts = new Map<string, Entry>()
      for (const entry of entries) if (!firsts.has(entry.id)) firsts.set(entry.id, entry)
      const found = yield* Effect.forEach(firsts.values(), (first) => this.#before(first), { concurrency: readsAtOnce })
      const states = new Map(found.map((state) => [state.user, state]))
      for (const entry of entries) {
        const state = states.get(entry.id)
        if (state !== undefined && entry.seq > state.committedUserSeq) replay(state, entry)
      }
      const rows = found.map((state) => ({
        user: state.user,
        generation: state.generation,
        userSeq: state.committedUserSeq,
        state: state.encode()
      }))
      yield* this.#directory.writeSessions(rows)
      for (const row of rows) this.#keep(row.user, row)
    })
  }

  /** A state that the entry follows, or is in already. */
  #before(entry: Entry) {
    const kept = this.#take(entry.id)
    const follows = kept !== undefined && kept.generation === entry.generation && entry.seq <= kept.userSeq + 1
    if (follows) return Effect.sync(() => SessionState.decode(kept.state))
    if (entry.generation === 1 && entry.seq === 1) return Effect.sync(() => SessionState.empty(entry.id))
    return Effect.map(
      this.#directory.session(entry.id),
      Option.match({
        onNone: () => SessionState.empty(entry.id),
        onSome: (row) => SessionState.decode(row.state)
      })
    )
  }

  #take(user: string): Kept | undefined {
    const kept = this.#kept.get(user)
    if (kept === undefined) return undefined
    this.#kept.delete(user)
    this.#bytes -= kept.state.length + keptEachBytes
    return kept
  }

  #keep(user: string, { generation, state, userSeq }: Kept): void {
    this.#take(user)
    this.#kept.set(user, { generation, userSeq, state })
    this.#bytes += state.length + keptEachBytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#bytesMax) return
      this.#take(oldest)
    }
  }
}
