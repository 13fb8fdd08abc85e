/**
 * What a sync says of a channel, kept for whoever asks next: a herd that comes back asks each channel once a member, and
 * most members hold the same place of it and have read as far. As of one committed head, and never used for another, so
 * nothing in it is ever changed or taken back (†20). It holds no permission: that the user may read is looked at before
 * each answer (†7, †15). Plain TypeScript on the hot path: bench `reconnect`.
 */
import type { Role } from "@parley/protocol/Event"
import type { Position } from "@parley/protocol/Ids"
import { toWire, type WireText } from "@parley/protocol/WireText"
import type { CommittedChannel } from "./CommittedChannel.ts"
import { isDeleted, namesAnybody } from "./Tail.ts"

/** A longer answer is made for each who asks: kept, it would take as much memory as the channel. */
const keptCharsMax = 4_096
/** Unread messages whose authors are kept; more are counted for each who asks. */
const authorsMax = 32

/** How the channel stands for one member, besides what all of them see. */
export interface ForMember {
  readonly role: Role
  readonly cursor: Position
  readonly unread: number
  readonly mentions: number
  /** Whether he may read the channel's newest message (REVOKED-IS-OUT). */
  readonly readsLast: boolean
  /** `,"receipts":[…]`, or nothing. */
  readonly receipts: WireText
}

/** An answer up to the head, and for whom it is right. */
interface Kept extends ForMember {
  readonly from: number
  readonly sync: WireText
}

export class SyncCard {
  readonly generation: number
  readonly seq: number
  readonly n: number
  /** Seq of the newest message; 0: there is none to show. */
  readonly lastSeq: number
  /** The head's part that is the same for all, one flat piece: up to `openChars` without the newest message. */
  #shared: WireText
  readonly #openChars: number
  #kept: Kept | undefined = undefined
  /** Authors of the messages after `#after`, one each; null: too many, or some name somebody. */
  #authors: ReadonlyArray<string> | null = null
  #after = -1

  private constructor(state: CommittedChannel) {
    const { channel, committedN, committedSeq, fanout, generation, memberCount, name, topic } = state
    const { last } = state.tail
    this.generation = generation
    this.seq = committedSeq
    this.n = committedN
    this.lastSeq = last?.seq ?? 0
    const open = `{"head":{"channel":"${channel}","generation":${generation},"seq":${committedSeq},"n":${committedN},"name":${quoted(name)},"topic":${quoted(topic)},"members":${memberCount},"fanout":"${fanout}"`
    this.#openChars = open.length
    this.#shared = flat(open, lastField(last?.body ?? null))
  }

  /** The channel's card at its committed head. */
  static of(state: CommittedChannel): SyncCard {
    const { card } = state
    if (card !== undefined && card.seq === state.committedSeq && card.generation === state.generation) return card
    return (state.card = new SyncCard(state))
  }

  get bytes(): number {
    return cardBytes + this.#shared.length + (this.#kept?.sync.length ?? 0)
  }

  /**
   * Unread messages of others after `after`, where the tail has all of them and none names anybody; undefined: look into the
   * tail.
   */
  plainUnread(state: CommittedChannel, after: number, user: string): number | undefined {
    if (after >= this.seq) return 0
    if (this.#after !== after) {
      this.#after = after
      this.#authors = authorsAfter(state, after)
    }
    if (this.#authors === null) return undefined
    let unread = 0
    for (const author of this.#authors) if (author !== user) unread++
    return unread
  }

  /** The answer up to the head for one who holds `from` and may read all that follows, if somebody like him had it before. */
  kept(from: number, member: ForMember): WireText | undefined {
    const kept = this.#kept
    return kept !== undefined &&
      kept.from === from &&
      kept.unread === member.unread &&
      kept.mentions === member.mentions &&
      kept.role === member.role &&
      kept.readsLast === member.readsLast &&
      kept.cursor.seq === member.cursor.seq &&
      kept.cursor.generation === member.cursor.generation &&
      kept.receipts === member.receipts
      ? kept.sync
      : undefined
  }

  /** A `ChannelSync` as wire text. `keep`: it says all there is after `from`, so it is right for others who hold that. */
  render(
    from: number,
    to: number,
    reload: boolean,
    events: ReadonlyArray<WireText>,
    member: ForMember,
    keep: boolean
  ): WireText {
    const { cursor, mentions, readsLast, receipts, role, unread } = member
    const head = readsLast ? this.#shared : this.#shared.slice(0, this.#openChars) + lastField(null)
    const sync = flat(
      head,
      `${receipts},"role":"${role}","cursor":{"generation":${cursor.generation},"seq":${cursor.seq}},"unread":${unread},"mentions":${mentions}},"from":${from},"to":${to},"reload":${reload},"events":[`,
      events.join(","),
      "]}"
    )
    if (!keep || sync.length > keptCharsMax) return sync
    // A slice of what is kept anyway, instead of the same text twice.
    if (readsLast) this.#shared = sync.slice(0, head.length)
    this.#kept = { ...member, from, sync }
    return sync
  }
}

/** Besides its texts, about. */
const cardBytes = 400

const quoted = (text: string): WireText => toWire(JSON.stringify(text))
const lastField = (body: WireText | null): WireText => `,"last":${body}`
/** Joined now: as pieces, they would be joined by each who writes the text to a socket. */
const flat = (...pieces: ReadonlyArray<WireText>): WireText => pieces.join("")

const authorsAfter = ({ tail }: CommittedChannel, after: number): ReadonlyArray<string> | null => {
  if (after < tail.from) return null
  const authors: Array<string> = []
  for (let seq = after + 1; seq <= tail.to; seq++) {
    const event = tail.get(seq)
    if (event?.kind !== "message" || isDeleted(event)) continue
    if (authors.length === authorsMax || namesAnybody(event.body)) return null
    authors.push(event.by)
  }
  // As long as it needs to be: it stays.
  return authors.slice()
}
