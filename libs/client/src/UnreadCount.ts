/**
 * What is unread in one channel: the server's count as of some head, plus what the events after that head did to it. A
 * count may be of a head below what is held (it overtook nothing, the events did): so the recent events' effects are
 * kept, also of what is read, and where they do not reach back to the count's head it has to be asked for again.
 * The cursor is a value merged by max, generation first (†5); reading here moves it at once, before the server has heard of it.
 */
import type { PlainPosition, PlainReadState } from "./PlainFrame.ts"

/** Effects kept; past it the older half becomes part of the count. Far more than a push is ever late. */
const effectsMax = 512
/** Mentions told by the session of messages that are not sent to this device. */
const toldMax = 4_000

/** How many unread messages and mentions are held after a seq, up to `head`; undefined where not all of it is held. */
export type CountHeld = (
  after: number
) => { readonly unread: number; readonly mentions: number; readonly head: number } | undefined

/** What an event may do besides: perhaps one unread (and mention) fewer, a mention fewer, or one more. */
type Unsure = "fewer" | "fewerMentions" | "moreMentions"

/** What the event at `seq` does to the counts of whoever has not read `target`. */
interface Effect {
  readonly seq: number
  readonly target: number
  readonly unread: number
  readonly mentions: number
  /** What else it does to a count that has its target in it is the server's to say. */
  readonly unsure?: Unsure
  /** Of a message that came in a later form: the seq of the edit that it is of. */
  readonly edited?: number
}

/** What a held message counts for. */
export interface Counted {
  readonly unread: boolean
  readonly mention: boolean
  /** The seq of the edit whose form is held. */
  readonly edited?: number
}

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
  /** The server's count for a cursor, as of `head`. */
  #base = { unread: 0, mentions: 0, head: 0 }
  /** The base is the count of an earlier cursor. */
  #outdated = false
  /** Of all events after `from`, ascending. */
  #effects: Array<Effect> = []
  #from = 0
  #told: Array<number> = []

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
    return this.#base.unread + this.#counting().reduce((sum, effect) => sum + effect.unread, 0)
  }

  get mentions(): number {
    const told = this.#told.filter((seq) => seq > this.#base.head)
    return this.#base.mentions + told.length + this.#counting().reduce((sum, effect) => sum + effect.mentions, 0)
  }

  /** The counts are not those of the cursor and of all that is held: the server's answer to a `read` is. */
  get stale(): boolean {
    const { head, mentions, unread } = this.#base
    if (this.#outdated || head < this.#from) return true
    const matters = { fewer: unread > 0, fewerMentions: mentions > 0, moreMentions: true }
    return this.#counting().some(({ target, unsure }) => unsure !== undefined && target <= head && matters[unsure])
  }

  /** Heads of another generation do not compare with the count's: whichever comes next is later. */
  forgetHead(): void {
    this.#base = { ...this.#base, head: -1 }
    this.#told = []
  }

  /** What is held begins anew after `seq`. */
  restart(seq: number): void {
    this.#effects = []
    this.#from = seq
  }

  /**
   * A message by another user, in order, in the form that it has by now: that of the edit at `edited`, or `bare`: it was
   * deleted, so that nothing says whom it named.
   */
  arrived(seq: number, mention: boolean, bare: boolean, edited: number | undefined): void {
    this.#told = this.#told.filter((told) => told !== seq)
    const unsure = bare ? ({ unsure: "fewerMentions" } as const) : {}
    const form = edited === undefined ? {} : { edited }
    this.#push({ seq, target: seq, unread: 1, mentions: Number(mention), ...unsure, ...form })
  }

  /** A mention of this user that the session told of, in a message that is not here (yet). */
  mention(seq: number): void {
    if (seq <= this.cursor.seq || this.#told.includes(seq) || this.#told.length >= toldMax) return
    this.#told.push(seq)
  }

  /** The message at `target` was deleted at `seq`; `held`: what it counted for, undefined where it is not held. */
  deleted(seq: number, target: number, held: Counted | undefined): void {
    this.#told = this.#told.filter((told) => told !== target)
    const known = this.#known(target, held)
    if (known === undefined) this.#push({ seq, target, unread: 0, mentions: 0, unsure: "fewer" })
    else if (known.unread) {
      const bare = this.#effects.some((effect) => effect.seq === target && effect.unsure !== undefined)
      const effect = { seq, target, unread: -1, mentions: -Number(known.mention) }
      this.#push(bare ? { ...effect, unsure: "fewerMentions" } : effect)
    }
  }

  /** The message at `target`, by another user, was edited at `seq`; `mention`: whether it names this user now. */
  edited(seq: number, target: number, held: Counted | undefined, mention: boolean): void {
    const known = this.#known(target, held)
    // Where nothing says what it was, it may have been one of those that are counted, or not.
    if (known === undefined) {
      this.#push({ seq, target, unread: 0, mentions: 0, unsure: mention ? "moreMentions" : "fewerMentions" })
    } else if (known.unread && (known.edited ?? 0) >= seq) {
      // It came as this edit or a later one made it: nothing says whom it named when a count was made before that.
      this.#push({ seq, target, unread: 0, mentions: 0, unsure: known.mention ? "moreMentions" : "fewerMentions" })
    } else if (known.unread && known.mention !== mention) {
      this.#push({ seq, target, unread: 0, mentions: Number(mention) - Number(known.mention) })
    }
  }

  /** The server's word: in a head, an answer to `read`, or a push after reading elsewhere. Stale ones are dropped. */
  adopt(state: PlainReadState, held: CountHeld): boolean {
    if (isAfter(this.#confirmed, state.cursor)) return false
    const later = isAfter(state.cursor, this.#confirmed)
    if (!later && !this.#outdated && state.head < this.#base.head) return false
    this.#confirm(state.cursor)
    this.#base = { unread: state.unread, mentions: state.mentions, head: state.head }
    this.#outdated = false
    this.#dropTold()
    if (this.cursor.seq > state.cursor.seq || state.head < this.#from) this.#recount(held)
    return true
  }

  /** A cursor without counts (a session's event): as good as is known until they come. */
  moveTo(cursor: PlainPosition, held: CountHeld): boolean {
    if (!isAfter(cursor, this.#confirmed)) return false
    this.#confirm(cursor)
    this.#dropTold()
    this.#outdated = true
    this.#recount(held)
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
    this.#dropTold()
    this.#outdated ||= seq < this.#base.head
    this.#recount(held)
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

  #dropTold(): void {
    const { seq } = this.cursor
    this.#told = this.#told.filter((told) => told > seq)
  }

  /** Counts for the cursor from what is here; where that is too little, what was there stands until the server's answer. */
  #recount(held: CountHeld): void {
    const { seq } = this.cursor
    const counted = seq >= this.#from ? { unread: 0, mentions: 0, head: seq } : held(seq)
    if (counted === undefined) return
    this.#base = counted
    this.#outdated = false
  }

  /** Effects on the count of this cursor, of what the base has not seen. */
  #counting(): ReadonlyArray<Effect> {
    const { seq: cursor } = this.cursor
    return this.#effects.filter(({ seq, target }) => seq > this.#base.head && target > cursor)
  }

  /** What the message counts for by now: the effects say so of all that came after `from`, also of what is not held. */
  #known(target: number, held: Counted | undefined): Counted | undefined {
    if (target <= this.#from) return held
    const effects = this.#effects.filter((effect) => effect.target === target)
    const edited = effects[0]?.edited
    return {
      unread: effects.reduce((sum, { unread }) => sum + unread, 0) > 0,
      mention: effects.reduce((sum, { mentions }) => sum + mentions, 0) > 0,
      ...(edited === undefined ? {} : { edited })
    }
  }

  #push(effect: Effect): void {
    this.#effects.push(effect)
    if (this.#effects.length <= effectsMax) return
    const older = this.#effects.slice(0, effectsMax / 2)
    const from = older.at(-1)?.seq ?? this.#from
    if (!this.stale && this.#base.head < from) {
      const counted = this.#counting().filter(({ seq }) => seq <= from)
      this.#base = {
        unread: this.#base.unread + counted.reduce((sum, { unread }) => sum + unread, 0),
        mentions: this.#base.mentions + counted.reduce((sum, { mentions }) => sum + mentions, 0),
        head: from
      }
    }
    this.#effects = this.#effects.slice(effectsMax / 2)
    this.#from = from
  }
}
