/**
 * Ops about reading: cursors and history. A read is two steps: the channel says what is unread after the seq (and
 * whether the user may be there), then the session merges the cursor; where it was further already, the channel counts
 * again. Both are idempotent, so a repetition after half of it is harmless.
 */
import type { Op } from "@parley/protocol/Frame"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { Position } from "@parley/protocol/Ids"
import { Limits } from "@parley/protocol/Limits"
import type { Caller, CursorMoved, UnreadCounts } from "@parley/actors/owner/OwnerProtocol"
import type { Connection } from "../Connection.ts"
import { answerFailure, answerOk, callerOf, type EdgeRuntime } from "../EdgeRuntime.ts"
import { ask } from "../OwnerAnswers.ts"

type Counted = { readonly ok: UnreadCounts } | { readonly failure: ApiFailure }

const count = (
  edge: EdgeRuntime,
  user: string,
  channel: string,
  cursor: Position,
  done: (counted: Counted) => void
): void =>
  ask(edge.calls, edge.calls.shardOf(channel), { _tag: "Unread", user, channel, cursor }, (reply) => {
    if (!("ok" in reply)) return done(reply)
    // The owner says so too; a cursor past the head must never be stored.
    if (cursor.seq > reply.ok.head)
      return done({ failure: { code: "invalid", detail: `seq is past the channel's head, ${reply.ok.head}` } })
    done(reply)
  })

const readState = (moved: CursorMoved, counts: UnreadCounts) => ({
  cursor: { generation: moved.cursor.generation, seq: moved.cursor.seq },
  unread: counts.unread,
  mentions: counts.mentions,
  head: counts.head
})

export const read = (edge: EdgeRuntime, connection: Connection, frame: Op<"read">): void => {
  const { channel, id, seq } = frame
  const { user } = connection
  const fail = (failure: ApiFailure) => answerFailure(edge, connection, id, failure)
  count(edge, user, channel, { generation: 0, seq }, (counted) => {
    if (!("ok" in counted)) return fail(counted.failure)
    moveCursor(edge, callerOf(edge, connection), channel, seq, counted.ok, (moved) => {
      if (!("ok" in moved)) return fail(moved.failure)
      tellReceipt(edge, connection, channel, moved.ok.cursor.seq, moved.ok.cursor.seq)
      if (moved.ok.cursor.seq === seq)
        return answerOk(edge, connection, id, JSON.stringify(readState(moved.ok, counted.ok)))
      count(edge, user, channel, moved.ok.cursor, (again) => {
        if ("ok" in again) answerOk(edge, connection, id, JSON.stringify(readState(moved.ok, again.ok)))
        else fail(again.failure)
      })
    })
  })
}

/** The others in a small channel see how far one has come. */
const tellReceipt = (
  edge: EdgeRuntime,
  connection: Connection,
  channel: string,
  delivered: number,
  read: number
): void =>
  ask(
    edge.calls,
    edge.calls.shardOf(channel),
    { _tag: "Receipt", caller: callerOf(edge, connection), channel, delivered, read },
    ignore
  )

export const delivered = (edge: EdgeRuntime, connection: Connection, frame: Op<"delivered">): void => {
  const { channel, id, seq } = frame
  ask(
    edge.calls,
    edge.calls.shardOf(channel),
    { _tag: "Receipt", caller: callerOf(edge, connection), channel, delivered: seq, read: 0 },
    (reply) => {
      if ("ok" in reply) answerOk(edge, connection, id, "{}")
      else answerFailure(edge, connection, id, reply.failure)
    }
  )
}

const moveCursor = (
  edge: EdgeRuntime,
  caller: Caller,
  channel: string,
  seq: number,
  { head, mentions, unread }: UnreadCounts,
  done: (moved: { readonly ok: CursorMoved } | { readonly failure: ApiFailure }) => void
): void =>
  ask(
    edge.calls,
    edge.calls.shardOf(caller.user),
    {
      _tag: "MoveCursor",
      caller,
      channel,
      seq,
      unread,
      mentions,
      head,
      generation: null
    },
    (moved) => {
      if ("ok" in moved) edge.readMarks.taken(caller.user, channel, moved.ok.cursor)
      done(moved)
    }
  )

export const markUnread = (edge: EdgeRuntime, connection: Connection, frame: Op<"mark_unread">): void => {
  const { channel, cid, id, seq } = frame
  const fail = (failure: ApiFailure) => answerFailure(edge, connection, id, failure)
  count(edge, connection.user, channel, { generation: 0, seq }, (counted) => {
    if (!("ok" in counted)) return fail(counted.failure)
    const { head, mentions, unread } = counted.ok
    ask(
      edge.calls,
      edge.calls.shardOf(connection.user),
      {
        _tag: "MarkUnread",
        caller: callerOf(edge, connection),
        channel,
        seq,
        cid,
        unread,
        mentions,
        head
      },
      (reply) => {
        if (!("ok" in reply)) return fail(reply.failure)
        const moved: CursorMoved = reply.ok
        const answer = (counts: UnreadCounts) =>
          answerOk(edge, connection, id, JSON.stringify({ ...readState(moved, counts), user_seq: moved.userSeq }))
        if (moved.cursor.seq === seq) return answer(counted.ok)
        // It was moved on since, as happens where this is a repetition: the counts are of the cursor that is named.
        count(edge, connection.user, channel, moved.cursor, (again) => {
          if ("ok" in again) answer(again.ok)
          else fail(again.failure)
        })
      }
    )
  })
}

/**
 * The cursor follows what a device has seen; only where that is news (†13). No answer says so, so the device's own
 * connection is told as the others are: a "mark unread" may have come between, and it would hold that for the last word.
 */
export const reportSeen = (edge: EdgeRuntime, connection: Connection, channel: string, seen: number): void => {
  if (!connection.seesFurther(channel, seen)) return
  count(edge, connection.user, channel, { generation: 0, seq: seen }, (counted) => {
    if (!("ok" in counted)) return
    moveCursor(edge, { ...callerOf(edge, connection), connection: 0 }, channel, seen, counted.ok, ignore)
    tellReceipt(edge, connection, channel, seen, seen)
  })
}

const ignore = () => {}

export const history = (edge: EdgeRuntime, connection: Connection, frame: Op<"history">): void => {
  const { after, around, before, channel, id, limit } = frame
  if ([after, around, before].filter((place) => place !== undefined).length > 1) {
    return answerFailure(edge, connection, id, { code: "invalid", detail: "at most one of before, after and around" })
  }
  ask(
    edge.calls,
    edge.calls.shardOf(channel),
    {
      _tag: "History",
      user: connection.user,
      admin: false,
      channel,
      before: before ?? null,
      after: after ?? null,
      around: around ?? null,
      limit: limit ?? Limits.historyLimitDefault
    },
    (reply) => {
      if ("ok" in reply) answerOk(edge, connection, id, reply.ok)
      else answerFailure(edge, connection, id, reply.failure)
    }
  )
}
