/**
 * What a channel answers to a device that names the position it holds (NO-GAP-SYNC): events from the hot tail where it
 * reaches, else from the store up to the tail, or "reload" with a fresh head. Everything is clipped at the committed
 * head and at the stays of the user (†15); what he may not see is covered, not sent (†14).
 */
import { Effect } from "effect"
import { Limits } from "@parley/protocol/Limits"
import type { WireText } from "@parley/protocol/WireText"
import { toWire } from "@parley/protocol/WireText"
import type { ChannelState } from "../channel/ChannelState.ts"
import type { SyncItem, SyncResult, UnreadCounts } from "./OwnerProtocol.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { learnMembers, storeBehindRetryMs, storeBehindTriesMax, whenStoreReady } from "./StoreLookups.ts"

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
    if (tries >= storeBehindTriesMax) return done(undefined)
    setTimeout(() => unreadCounts(owner, state, user, after, done, tries + 1), storeBehindRetryMs)
  }
  if (!owner.storeReady) return again()
  const { inTail, storeUpTo, unsettled } = state.unreadSplit(seen, user)
  // A delete above the floor may or may not be in the store's count: asked again once the floor has passed it.
  if (unsettled > 0) return again()
  const { inbox, messages } = owner.context.stores
  const counts = Effect.all([
    messages.countUnread(state.channel, seen, storeUpTo, user),
    inbox.countMentions(user, state.channel, seen, storeUpTo)
  ])
  owner.context.run(counts, (result) => {
    if (!("ok" in result)) return done(undefined)
    // A delete that came while the store was asked may be in its count: whoever adds the delete to it would be one short.
    if (state.changedSince(head, seen, storeUpTo)) return again()
    const [unread, mentions] = result.ok
    done({ unread: inTail.unread + unread, mentions: inTail.mentions + mentions, head, n })
  })
}

/** How often a head that moved while the store was asked is taken anew. */
const againMax = 8

/** One channel's part of a sync. */
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
    const now = asOfHead(state, user)
    unreadCounts(owner, state, user, item.cursor.seq, (counts) => {
      if (counts === undefined) return failed()
      // The counts are of a later head than the rest: who was a member may be none there.
      if (counts.head !== now.seq) {
        return tries >= againMax ? failed() : syncChannel(owner, state, user, item, eventsMax, done, tries + 1)
      }
      const answer = (from: number, to: number, events: ReadonlyArray<WireText>, reload: boolean) =>
        owner.channels.receipts.render(state, (receipts) =>
          done({
            _tag: "Sync",
            channel,
            head: counts.head,
            sync: renderSync(renderHead(state, now, stay.role, item, counts, receipts), from, to, events, reload)
          })
        )
      const { held } = item
      const head = counts.head
      if (
        held === null ||
        held.generation !== state.generation ||
        held.seq > head ||
        head - held.seq > Limits.syncGapMax
      ) {
        return answer(head, head, [], true)
      }
      const after = Math.max(held.seq, now.readableAfter)
      if (after >= state.tailFrom)
        return answer(held.seq, ...page(state.tailEvents(after, head, eventsMax), head, eventsMax), false)
      eventsFromStore(owner, state, after, head, eventsMax, (events) =>
        events === undefined ? failed() : answer(held.seq, ...page(events, head, eventsMax), false)
      )
    })
  })
}

/** What a head says besides the counts, taken at one moment: commits go on while the store is asked for those. */
interface AsOfHead {
  readonly seq: number
  readonly readableAfter: number
  readonly name: string
  readonly topic: string
  readonly members: number
  readonly fanout: string
  readonly last: WireText | null
}

const asOfHead = (state: ChannelState, user: string): AsOfHead => {
  const { committedSeq: seq, fanout, memberCount: members, name, topic } = state
  const readableAfter = state.readableAfter(user)
  const { last } = state.tail
  // What was said before he came, or while he was out, is not for him (REVOKED-IS-OUT).
  const readable = last !== null && last.seq > readableAfter
  return { seq, readableAfter, name, topic, members, fanout, last: readable ? last.body : null }
}

type Events = ReadonlyArray<{ readonly seq: number; readonly body: WireText }>

/** A full page covers up to its last event, a shorter one up to the head. */
const page = (events: Events, head: number, eventsMax: number): [to: number, bodies: ReadonlyArray<WireText>] => [
  events.length < eventsMax ? head : (events[events.length - 1]?.seq ?? head),
  events.map((event) => event.body)
]

const eventsFromStore = (
  owner: ShardOwner,
  state: ChannelState,
  after: number,
  head: number,
  eventsMax: number,
  done: (events: Events | undefined) => void
): void => {
  const tailFrom = state.tailFrom
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    owner.context.run(
      owner.context.stores.messages.events(state.channel, after, Math.min(tailFrom, head), eventsMax),
      (result) => {
        if (!("ok" in result)) return done(undefined)
        const old = result.ok
        // The tail may have been cut while the store answered: then the store has what is missing, but not this page.
        if (state.tailFrom > tailFrom && old.length < eventsMax)
          return eventsFromStore(owner, state, after, head, eventsMax, done)
        done(old.length < eventsMax ? [...old, ...state.tailEvents(tailFrom, head, eventsMax - old.length)] : old)
      }
    )
  })
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
  if (!state.exists) return done(null)
  const known = state.stayOf(user)
  if (known !== undefined) return done(known)
  learnMembers(owner, state, [user], (known) => done(known ? state.stayOf(user) : undefined))
}

const renderSync = (
  head: WireText,
  from: number,
  to: number,
  events: ReadonlyArray<WireText>,
  reload: boolean
): WireText => `{"head":${head},"from":${from},"to":${to},"reload":${reload},"events":[${events.join(",")}]}`

const renderHead = (
  state: ChannelState,
  now: AsOfHead,
  role: string,
  item: SyncItem,
  counts: UnreadCounts,
  receipts: WireText
): WireText =>
  `{"channel":"${state.channel}","generation":${state.generation},"seq":${counts.head},"n":${counts.n},"name":${toWire(
    JSON.stringify(now.name)
  )},"topic":${toWire(JSON.stringify(now.topic))},"members":${now.members},"role":"${role}","fanout":"${now.fanout}","cursor":{"generation":${item.cursor.generation},"seq":${item.cursor.seq}},"unread":${counts.unread},"mentions":${counts.mentions},"last":${
    now.last
  }${receipts}}`
