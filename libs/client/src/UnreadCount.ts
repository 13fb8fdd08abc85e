/**
 * What is unread in one channel: the server's count as of some seq, plus what came after. The cursor is a value merged
 * by max, generation first (†5); reading here moves it at once, before the server has heard of it.
 */
import type { PlainPosition, PlainReadState } from "./PlainFrame.ts"

/** Seqs remembered after the server's count; past it the older half becomes part of the count. */
const arrivedMax = 4_000

/** How many unread messages and mentions are held in `(after, upTo]`; undefined where not all of it is held. */
export type CountHeld = (
  after: number,
  upTo: number
) => { readonly unread: number; readonly mentions: number } | undefined

const isAfter = (a: PlainPosition, b: PlainPosition): boolean =>
  a.generation !== b.generation ? a.generation > b.generation : a.seq > b.seq

export class UnreadCount {
  /** As the server said last. */
  #confirmed: PlainPosition = { generation: 0, seq: 0 }
  /** As shown: what was read here and is not confirmed yet lies above. */
  #read = 0
  /** A "mark unread" of this device is on its way, and what was read here after it was asked for. */
  #marking = false
  #readAfterMark = 0
  #base = { unread: 0, mentions: 0, head: 0 }
  #stale = false
  /** Messages by others, seen live, ascending. */
  #arrived: Array<number> = []
  #mentioned: Array<number> = []

  get cursor(): PlainPosition {
    return { generation: this.#confirmed.generation, seq: Math.max(this.#read, this.#confirmed.seq) }
  }

  /** The seq that the server has to be told of; undefined: it knows. */
  get unconfirmed(): number | undefined {
    return this.#read > this.#confirmed.seq ? this.#read : undefined
  }

  /** The seq that a server whose cursor is `theirs` lacks: it may have lost what it had confirmed (†5). */
  lackedBy(theirs: PlainPosition): number | undefined {
    const { generation, seq } = this.cursor
    return !this.#marking && theirs.generation === generation && theirs.seq < seq ? seq : undefined
  }

  /** What a send names as seen: nothing that a "mark unread" on its way is about to take back. */
  get seen(): number {
    return this.#marking ? this.#readAfterMark : this.cursor.seq
  }

  get unread(): number {
    return this.#base.unread + this.#arrived.filter((seq) => seq > this.#base.head).length
  }

  get mentions(): number {
    return this.#base.mentions + this.#mentioned.filter((seq) => seq > this.#base.head).length
  }

  /** The counts are of an earlier cursor: not all that lies after this one is held. */
  get stale(): boolean {
    return this.#stale
  }

  /** A message by another user, in order. */
  arrived(seq: number): void {
    if (seq <= this.cursor.seq) return
    this.#arrived.push(seq)
    if (this.#arrived.length <= arrivedMax) return
    const older = this.#arrived.splice(0, arrivedMax / 2)
    const head = older.at(-1) ?? 0
    if (head <= this.#base.head) return
    const within = (seq: number) => seq > this.#base.head && seq <= head
    this.#base = {
      unread: this.#base.unread + older.filter(within).length,
      mentions: this.#base.mentions + this.#mentioned.filter(within).length,
      head
    }
  }

  /** A mention of this user; told by the message itself and by the session, so counted by seq. */
  mention(seq: number): void {
    if (seq <= this.cursor.seq || this.#mentioned.includes(seq) || this.#mentioned.length >= arrivedMax) return
    this.#mentioned.push(seq)
  }

  /**
   * The message at `target` was deleted at `seq`; `was`: what it counted for, undefined where it is not held. False: only
   * the server can say what is unread now.
   */
  deleted(
    seq: number,
    target: number,
    was: { readonly unread: boolean; readonly mention: boolean } | undefined
  ): boolean {
    this.#mentioned = this.#mentioned.filter((mentioned) => mentioned !== target)
    const at = this.#arrived.indexOf(target)
    if (at !== -1) this.#arrived.splice(at, 1)
    // The server's count as of a later seq is without it already; one as of an earlier seq had it.
    if (target > this.#base.head || target <= this.cursor.seq || seq <= this.#base.head) return true
    if (was === undefined) return this.#base.unread === 0
    const { head, mentions, unread } = this.#base
    this.#base = {
      unread: Math.max(0, unread - Number(was.unread)),
      mentions: Math.max(0, mentions - Number(was.mention)),
      head
    }
    return true
  }

  /** The message at `target`, by another user, was edited at `seq`; `was`, `is`: whether it mentions this user. False: as above. */
  edited(seq: number, target: number, was: boolean | undefined, is: boolean): boolean {
    if (target <= this.cursor.seq) return true
    if (target > this.#base.head) {
      this.#mentioned = this.#mentioned.filter((mentioned) => mentioned !== target)
      if (is) this.#mentioned.push(target)
      return true
    }
    if (seq <= this.#base.head) return true
    // Where nothing says what it was, it may have been one of those that are counted, or not.
    if (was === undefined) return !is && this.#base.mentions === 0
    const mentions = this.#base.mentions + Number(is) - Number(was)
    this.#base = { ...this.#base, mentions: Math.max(0, mentions) }
    return true
  }

  /** The server's word: in a head, an answer to `read`, or a push after reading elsewhere. Stale ones are dropped. */
  adopt(state: PlainReadState, held: CountHeld): boolean {
    if (isAfter(this.#confirmed, state.cursor)) return false
    const later = isAfter(state.cursor, this.#confirmed)
    if (!later && state.head < this.#base.head) return false
    this.#confirm(state.cursor)
    this.#base = { unread: state.unread, mentions: state.mentions, head: state.head }
    this.#stale = false
    this.#dropRead(state.cursor.seq)
    if (this.#read > state.cursor.seq) this.#recount(this.#read, held)
    return true
  }

  /** A cursor without counts (a session's event): as good as is known until they come. */
  moveTo(cursor: PlainPosition, held: CountHeld): boolean {
    if (!isAfter(cursor, this.#confirmed)) return false
    this.#confirm(cursor)
    this.#dropRead(this.cursor.seq)
    this.#recount(this.cursor.seq, held)
    return true
  }

  /** The cursor is asked back on this device; it moves when the server has done it. */
  marking(): void {
    this.#marking = true
    this.#readAfterMark = 0
  }

  /** Read on this device up to `seq`. */
  readTo(seq: number, held: CountHeld): boolean {
    if (this.#marking) this.#readAfterMark = Math.max(this.#readAfterMark, seq)
    if (seq <= this.cursor.seq) return false
    this.#read = seq
    this.#dropRead(seq)
    this.#recount(seq, held)
    return true
  }

  /** "Mark unread" sets the cursor back: what was read here before it no longer counts, what was read after it does. */
  #confirm(cursor: PlainPosition): void {
    if (cursor.generation > this.#confirmed.generation) {
      this.#read = this.#readAfterMark
      this.#marking = false
      this.#readAfterMark = 0
    }
    this.#confirmed = cursor
  }

  #dropRead(seq: number): void {
    this.#arrived = this.#arrived.filter((arrived) => arrived > seq)
    this.#mentioned = this.#mentioned.filter((mentioned) => mentioned > seq)
  }

  #recount(cursor: number, held: CountHeld): void {
    if (cursor >= this.#base.head) {
      this.#base = { unread: 0, mentions: 0, head: cursor }
      this.#stale = false
      return
    }
    const counted = held(cursor, this.#base.head)
    // Not all of it is held: the old count stands until the server's answer.
    this.#stale = counted === undefined
    if (counted !== undefined) this.#base = { ...counted, head: this.#base.head }
  }
}
