/**
 * The final state, indexed for the checks: which event is at which seq, which client id made it, and who was in a
 * channel when. What the log has at the end is the truth that everything shown before is held against.
 */
import type { ChannelEvent } from "@parley/protocol/Event"
import type { FinalChannel, FinalState } from "./FinalState.ts"
import type { History, Mutation } from "./History.ts"

/** A member for seqs `from <= seq <= to`; `to` is infinite while it lasts. */
export interface Stay {
  readonly from: number
  readonly to: number
}

export interface ChannelTruth {
  readonly channel: string
  readonly head: number
  readonly bySeq: ReadonlyMap<number, ChannelEvent>
  readonly stays: ReadonlyMap<string, ReadonlyArray<Stay>>
  /** Joining again opens what lies between the stays. */
  readonly rejoinOpens: boolean
}

export interface Truth {
  readonly channels: ReadonlyMap<string, ChannelTruth>
  /** Why each of these can't be read: all that was promised of it is broken. */
  readonly unreadable: ReadonlyMap<string, string>
  /** Events by channel, author and client id: one each, if EXACTLY-ONCE-EFFECT holds. */
  readonly byId: ReadonlyMap<string, ReadonlyArray<ChannelEvent>>
  /** What was asked, by the same key. */
  readonly asked: ReadonlyMap<string, Mutation>
}

/** A client id counts for its channel and sender. */
export const idKey = (channel: string, user: string, cid: string): string => `${channel} ${user} ${cid}`

export const cidOf = (event: ChannelEvent): string | undefined => ("cid" in event ? event.cid : undefined)

export const truthOf = (history: History, final: FinalState): Truth => {
  const byId = new Map<string, Array<ChannelEvent>>()
  for (const { channel, events } of final.channels) {
    for (const event of events) {
      const cid = cidOf(event)
      if (cid === undefined) continue
      const key = idKey(channel, event.by, cid)
      const known = byId.get(key)
      if (known === undefined) byId.set(key, [event])
      else known.push(event)
    }
  }
  const asked = new Map<string, Mutation>()
  for (const fact of history) {
    if (fact._tag !== "Asked") continue
    const key = idKey(fact.mutation.channel, fact.user, fact.mutation.cid)
    if (!asked.has(key)) asked.set(key, fact.mutation)
  }
  return {
    channels: new Map(final.channels.map((channel) => [channel.channel, channelTruth(channel)])),
    unreadable: new Map(final.unreadable.map(({ what, why }) => [what, why])),
    byId,
    asked
  }
}

const channelTruth = ({ channel, events, head }: FinalChannel): ChannelTruth => ({
  channel,
  head,
  bySeq: new Map(events.map((event) => [event.seq, event])),
  stays: staysOf(events),
  rejoinOpens: channel.startsWith("public:")
})

const staysOf = (events: ReadonlyArray<ChannelEvent>): Map<string, Array<Stay>> => {
  const stays = new Map<string, Array<Stay>>()
  for (const event of events) {
    if (event.kind === "created" || event.kind === "added") {
      for (const user of event.members) {
        const known = stays.get(user) ?? []
        stays.set(user, [...known, { from: event.seq, to: Infinity }])
      }
    } else if (event.kind === "removed") {
      for (const user of event.members) {
        const known = stays.get(user) ?? []
        const last = known.at(-1)
        if (last !== undefined) stays.set(user, [...known.slice(0, -1), { from: last.from, to: event.seq }])
      }
    }
  }
  return stays
}

/** Whether the user may ever be shown what is at `seq` (†15). */
export const mayRead = (truth: ChannelTruth, user: string, seq: number): boolean => {
  const stays = truth.stays.get(user) ?? []
  return stays.some((stay) => (truth.rejoinOpens || stay.from <= seq) && seq <= stay.to) && seq >= (stays[0]?.from ?? 0)
}

/** What an answer that covers `(from, to]` has to show the user: all that lies in the last stay that began by then. */
export const owed = (truth: ChannelTruth, user: string, from: number, to: number): ReadonlyArray<ChannelEvent> => {
  const stay = truth.stays.get(user)?.findLast((stay) => stay.from <= to)
  if (stay === undefined) return []
  const events: Array<ChannelEvent> = []
  for (let seq = Math.max(from + 1, stay.from); seq <= Math.min(to, stay.to); seq++) {
    const event = truth.bySeq.get(seq)
    if (event !== undefined) events.push(event)
  }
  return events
}
