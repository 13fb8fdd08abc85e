/** REVOKED-IS-OUT: nothing was shown to anybody, in whatever way, that lies outside of his stays in the channel (†15). */
import type { History } from "./History.ts"
import { mayRead, type Truth } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

export const revokedIsOut = (history: History, truth: Truth): ReadonlyArray<Violation> =>
  history.flatMap((fact) => {
    if (fact._tag !== "Shown" && fact._tag !== "Glimpsed") return []
    const channel = truth.channels.get(fact.channel)
    if (channel === undefined) return []
    const events = fact._tag === "Shown" ? fact.events : [fact.event]
    return events
      .filter((event) => !mayRead(channel, fact.user, event.seq))
      .map((event) => ({
        invariant: "REVOKED-IS-OUT" as const,
        what: `${fact.channel} ${event.seq} was shown to ${fact.user}, who was out`,
        evidence: { fact: fact._tag, device: fact.device, stays: channel.stays.get(fact.user), event }
      }))
  })
