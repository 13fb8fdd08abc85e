/**
 * What a channel answers to a device that names the position it holds (NO-GAP-SYNC): events from the hot tail where it
 * reaches, else from the store up to the tail, or "reload" with a fresh head. Everything is clipped at the committed
 * head and at the stays of the user (†15); what he may not see is covered, not sent (†14).
 */
import { Effect } from "effect"
import { Limits } from "@parley/protocol/Limits"
import type { WireText } from "@parley/protocol/WireText"
import type { ChannelState } from "../channel/ChannelState.ts"
import { type ForMember, SyncCard } from "../channel/SyncCard.ts"
import { inCurrentForm } from "../channel/Tail.ts"
import { receiptsHere } from "./ChannelReceipts.ts"
import type { SyncItem, SyncResult, UnreadCounts } from "./OwnerProtocol.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { afterOwnAdditions } from "./OwnAdditions.ts"
import { learnMembers, storeBehindRetryMs, storeBehindTriesMax, storeReaches, whenStoreReady } from "./StoreLookups.ts"

/** Ranges that the store counts for one answer, of messages and of mentions. */
const storedRangesMax = 64

/** Undeleted messages of others after `after`, up to the committed head; undefined where the store can't be asked. */
export const unreadCounts = (
  owner: ShardOwner,
  state: ChannelState,
  user: string,
  after: number,
  done: (counts: UnreadCounts | undefined) => void,
  tries = 0
): void => {
  const head = state.committedSeq
  const n = state.committedN
  const seen = Math.max(after, state.readableAfter(user))
  const here = state.unreadInTail(seen, user)
  if (here !== undefined) return done({ ...here, head, n })
  const again = () => {
    if (tries >= storeBehindTriesMax || !owner.serving) return done(undefined)
    setTimeout(() => unreadCounts(owner, state, user, after, done, tries + 1), storeBehindRetryMs)
  }
  if (!storeReaches(owner, state)) return again()
  const { inTail, naming, stored, storeUpTo } = state.unreadSplit(seen, user)
  // Many changes that the store may lack: asked again once the floor has passed them.
  if (stored.length + naming.length > storedRangesMax) return again()
  const { inbox, messages } = owner.context.stores
  const counts = Effect.all({
    unread: sumOf(stored, ({ after, upTo }) => messages.countUnread(state.channel, after, upTo, user)),
    mentions: sumOf(naming, ({ after, upTo }) => inbox.countMentions(user, state.channel, after, upTo))
  })
  owner.context.run(counts, (result) => {
    if (!("ok" in result)) return done(undefined)
    // A delete that came while the store was asked may be in its count: whoever adds the delete to it would be one short.
    if (state.changedSince(head, seen, storeUpTo)) return again()
    const { mentions, unread } = result.ok
    done({ unread: inTail.unread + unread, mentions: inTail.mentions + mentions, head, n })
  })
}

const sumOf = <Range, E>(ranges: ReadonlyArray<Range>, count: (range: Range) => Effect.Effect<number, E>) =>
  Effect.forEach(ranges, count).pipe(Effect.map((counts) => counts.reduce((sum, one) => sum + one, 0)))

/**
 * A sync of channels of which all is in memory, as it is of nearly all channels of a herd, for a user who came once to each
 * and stayed, as nearly all did. Undefined for the others: they have to be asked for (`syncChannel`). By columns: each look
 * waits for memory that no cache holds, and the looks of a column wait together.
 */
export const syncNow = (
  states: ReadonlyArray<ChannelState | undefined>,
  user: string,
  items: ReadonlyArray<SyncItem>,
  eventsMax: number
): ReadonlyArray<SyncResult | undefined> => {
  const since = states.map((state) => state?.members.onlyStay(user, state.committedSeq))
  const cards = states.map((state, at) =>
    state === undefined || since[at] === undefined || !state.exists || state.lastUnknown
      ? undefined
      : SyncCard.of(state)
  )
  const receipts = states.map((state, at) => (cards[at] === undefined ? undefined : receiptsHere(state)))
  const unread = cards.map((card, at) => {
    const [item, state] = [items[at], states[at]]
    return item === undefined || state === undefined || receipts[at] === undefined
      ? undefined
      : card?.plainUnread(state, Math.max(item.cursor.seq, (since[at] ?? 1) - 1), user)
  })
  return items.map((item, at) => {
    const [card, field, state] = [cards[at], receipts[at], states[at]]
    return card === undefined || field === undefined || state === undefined
      ? undefined
      : answerOf(state, card, user, (since[at] ?? 1) - 1, unread[at], field, item, eventsMax)
  })
}

const answerOf = (
  state: ChannelState,
  card: SyncCard,
  user: string,
  readableAfter: number,
  plainUnread: number | undefined,
  receipts: WireText,
  item: SyncItem,
  eventsMax: number
): SyncResult | undefined => {
  const { channel, cursor } = item
  const head = card.seq
  const reload = mustReload(state, head, item)
  const from = reload || item.held === null ? head : item.held.seq
  const after = Math.max(from, readableAfter)
  if (after < head && after < state.tailFrom) return undefined
  const { mentions, unread } =
    plainUnread === undefined
      ? (state.unreadInTail(Math.max(cursor.seq, readableAfter), user) ?? unknownCounts)
      : { unread: plainUnread, mentions: 0 }
  if (unread < 0) return undefined
  const readsLast = card.lastSeq > readableAfter
  const member: ForMember = { role: state.roleOf(user), cursor, unread, mentions, readsLast, receipts }
  const whole = !reload && from >= readableAfter
  const kept = whole ? card.kept(from, member) : undefined
  if (kept !== undefined) return { _tag: "Sync", channel, sync: kept, head }
  const [to, events] = reload ? [head, noEvents] : page(state.tailEvents(after, head, eventsMax), head, eventsMax)
  return { _tag: "Sync", channel, sync: card.render(from, to, reload, events, member, whole && to === head), head }
}

const unknownCounts = { unread: -1, mentions: 0 }
const noEvents: ReadonlyArray<WireText> = []

/** Whether what the device holds can't be continued. */
const mustReload = (state: ChannelState, head: number, { held }: SyncItem): boolean =>
  held === null || held.generation !== state.generation || held.seq > head || head - held.seq > Limits.syncGapMax

/**
 * Whether what the device holds is of a stay that ended, and joining again did not open what came since. It was not told
 * the rest of that stay, nor what was done afterwards to what it holds, which is still his to read: it begins anew.
 */
const isOfEarlierStay = (state: ChannelState, user: string, held: number, readableAfter: number): boolean =>
  held < readableAfter && (state.visibleRange(user)?.some(({ from }) => from <= held) ?? true)

/** How often a head that moved while the store was asked is taken anew. */
const againMax = 8

/** One channel's part of a sync, whatever has to be asked for it. */
export const syncChannel = (
  owner: ShardOwner,
  state: ChannelState,
  user: string,
  item: SyncItem,
  eventsMax: number,
  done: (result: SyncResult) => void,
  tries = 0
): void => {
  const { channel } = state
  const failed = () => done({ _tag: "Failed", channel, failure: { code: "unavailable" } })
  withStay(owner, state, user, (stay) => {
    if (stay === undefined) return failed()
    if (stay === null) return done({ _tag: "Lost", channel, seq: 0 })
    if (stay.to !== null) return done({ _tag: "Lost", channel, seq: stay.to })
    if (state.lastUnknown) return failed()
    // As of one moment: commits go on while the store is asked for the counts.
    const card = SyncCard.of(state)
    const readableAfter = state.readableAfter(user)
    unreadCounts(owner, state, user, item.cursor.seq, (counts) => {
      if (counts === undefined) return failed()
      const { head, mentions, unread } = counts
      // The counts are of a later head than the rest: who was a member may be none there.
      if (head !== card.seq) {
        return tries >= againMax ? failed() : syncChannel(owner, state, user, item, eventsMax, done, tries + 1)
      }
      const answer = (from: number, to: number, events: ReadonlyArray<WireText>, reload: boolean) =>
        owner.channels.receipts.render(state, (receipts) => {
          const readsLast = card.lastSeq > readableAfter
          const member: ForMember = { role: stay.role, cursor: item.cursor, unread, mentions, readsLast, receipts }
          done({ _tag: "Sync", channel, head, sync: card.render(from, to, reload, events, member, false) })
        })
      const { held } = item
      if (held === null || mustReload(state, head, item) || isOfEarlierStay(state, user, held.seq, readableAfter)) {
        return answer(head, head, noEvents, true)
      }
      const after = Math.max(held.seq, readableAfter)
      if (after >= state.tailFrom)
        return answer(held.seq, ...page(state.tailEvents(after, head, eventsMax), head, eventsMax), false)
      eventsFromStore(owner, state, after, head, eventsMax, (events) =>
        events === undefined ? failed() : answer(held.seq, ...page(events, head, eventsMax), false)
      )
    })
  })
}

type Events = ReadonlyArray<{ readonly seq: number; readonly body: WireText }>

/** A full page covers up to its last event, a shorter one up to the head. */
const page = (events: Events, head: number, eventsMax: number): [to: number, bodies: ReadonlyArray<WireText>] => [
  events.length < eventsMax ? head : (events[events.length - 1]?.seq ?? head),
  events.map((event) => event.body)
]

/**
 * Events of the store up to the tail, then the tail's. What the tail changes of the store's is applied to them: the store may
 * not have an edit or delete for as long as the persister gathers, and nobody gets a deleted text meanwhile (†16).
 */
const eventsFromStore = (
  owner: ShardOwner,
  state: ChannelState,
  after: number,
  head: number,
  eventsMax: number,
  done: (events: Events | undefined) => void,
  tries = 0
): void => {
  whenStoreReady(
    owner,
    (ready) => {
      if (!ready) return done(undefined)
      const { committedSeq, tailFrom } = state
      const changes = state.changesAbove(Math.min(state.floor, tailFrom))
      owner.context.run(
        owner.context.stores.messages.events(state.channel, after, Math.min(tailFrom, head), eventsMax),
        (result) => {
          if (!("ok" in result)) return done(undefined)
          const isFull = result.ok.length >= eventsMax
          // The tail may have been cut while the store answered: then the store has what is missing, but not this answer.
          if (state.tailFrom > (isFull ? committedSeq : tailFrom)) {
            return tries >= againMax
              ? done(undefined)
              : eventsFromStore(owner, state, after, head, eventsMax, done, tries + 1)
          }
          const old = inCurrentForm(result.ok, [...changes, ...state.changesAbove(committedSeq)])
          done(isFull ? old : [...old, ...state.tailEvents(tailFrom, head, eventsMax - old.length)])
        }
      )
    },
    state
  )
}

interface Stay {
  readonly role: "owner" | "member"
  readonly to: number | null
}

/** The user's current or last stay; null: never a member; undefined: it can't be known now. */
export const withStay = (
  owner: ShardOwner,
  state: ChannelState,
  user: string,
  done: (stay: Stay | null | undefined) => void
): void => {
  const here = state.exists ? state.stayOf(user) : null
  if (here !== undefined && here !== null && here.to === null) return done(here)
  afterOwnAdditions(owner, state.channel, [user], (settled) => {
    if (!settled) return done(undefined)
    if (!state.exists) return done(null)
    const known = state.stayOf(user)
    if (known !== undefined) return done(known)
    learnMembers(owner, state, [user], (known) => done(known ? state.stayOf(user) : undefined))
  })
}
