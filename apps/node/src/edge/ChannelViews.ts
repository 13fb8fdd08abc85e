/**
 * One channel as it stands for one user: his cursor from the session, then a sync of the channel. For `watch`, for
 * channels that a user is added to, and for HTTP.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { SyncItem, SyncResult } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { ChannelSync } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import { fromWire } from "@parley/protocol/WireText"
import { ask } from "./OwnerAnswers.ts"

export type ChannelView =
  | { readonly ok: Extract<SyncResult, { readonly _tag: "Sync" }> }
  | { readonly failure: ApiFailure }

const start = { generation: 0, seq: 0 }

/** `held` null: as for a device that has nothing of the channel. */
export const viewChannel = (
  calls: OwnerCalls["Service"],
  user: string,
  channel: string,
  done: (view: ChannelView) => void
): void =>
  ask(calls, calls.shardOf(user), { _tag: "Open", user, after: start }, (reply) => {
    if (!("ok" in reply)) return done(reply)
    // A session that has not heard of the channel yet: the channel decides, the cursor stands at the beginning.
    const cursor = reply.ok.channels.find((listed) => listed.channel === channel)?.cursor ?? start
    syncOne(calls, user, { channel, held: null, cursor }, done)
  })

const syncOne = (calls: OwnerCalls["Service"], user: string, item: SyncItem, done: (view: ChannelView) => void): void =>
  ask(
    calls,
    calls.shardOf(item.channel),
    {
      _tag: "Sync",
      user,
      items: [item],
      eventsMax: Limits.syncEventsPerChannelMax,
      bytesMax: Limits.syncPageBytesMax
    },
    (reply) => {
      if (!("ok" in reply)) return done(reply)
      const result = reply.ok[0]
      if (result === undefined || result._tag === "Lost") done({ failure: { code: "not_found" } })
      else if (result._tag === "Failed") done({ failure: result.failure })
      else done({ ok: result })
    }
  )

/** The head within a sync. */
export const headOf = (view: Extract<SyncResult, { readonly _tag: "Sync" }>): ChannelSync["head"] =>
  // The owner's own encoding of a ChannelSync.
  (JSON.parse(fromWire(view.sync)) as ChannelSync).head
