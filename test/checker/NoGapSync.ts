/**
 * NO-GAP-SYNC: whatever says that it covers a range has all of it that the user may read (†14); a session's personal
 * events come one after the other; and at the end, with no further traffic, what every device holds is what a fresh one
 * gets, the last message, the unread count and the read marks included.
 */
import type { ChannelEvent, MessageEvent } from "@parley/protocol/Event"
import { type DeviceView, type FinalState, messageView, sameMessage, viewDifferences } from "./FinalState.ts"
import type { FactOf, History } from "./History.ts"
import { owed, type Truth } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

const invariant = "NO-GAP-SYNC" as const

export const noGapSync = (history: History, truth: Truth, final: FinalState): ReadonlyArray<Violation> => [
  ...history.flatMap((fact) => (fact._tag === "Shown" ? withoutGap(fact, truth) : [])),
  ...personalInOrder(history),
  ...final.devices.flatMap((device) => sameAsFresh(device, final)),
  ...final.devices.flatMap((device) => sameMessages(device, final)),
  ...final.channels.flatMap(({ channel, events, messages }) => samePages(channel, events, messages))
]

const withoutGap = (fact: FactOf<"Shown">, truth: Truth): ReadonlyArray<Violation> => {
  const channel = truth.channels.get(fact.channel)
  if (channel === undefined) return []
  const shown = new Set(fact.events.map((event) => event.seq))
  const missing = owed(channel, fact.user, fact.from, Math.min(fact.to, channel.head)).filter(
    (event) => !shown.has(event.seq) && (fact.how !== "history" || event.kind === "message")
  )
  const outside = fact.events.filter((event) => event.seq <= fact.from || event.seq > fact.to)
  const { connection, device, from, how, to } = fact
  const evidence = { device, connection, how, channel: fact.channel, from, to }
  return [
    ...missing.map((event) => ({
      invariant,
      what: `(${from}, ${to}] of ${fact.channel} was shown to ${device} without ${event.seq}`,
      evidence: { ...evidence, event }
    })),
    ...outside.map((event) => ({ invariant, what: `${event.seq} lies outside of what is covered`, evidence })),
    ...(fact.to > channel.head
      ? [{ invariant, what: `covers up to ${fact.to}, the log ends at ${channel.head}`, evidence }]
      : [])
  ]
}

const personalInOrder = (history: History): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const positions = new Map<number, number>()
  for (const fact of history) {
    if (fact._tag !== "Personal") continue
    const position = positions.get(fact.connection)
    for (const { user_seq } of fact.how === "live" && position !== undefined ? fact.events : []) {
      if (user_seq > position! + 1)
        found.push({ invariant, what: `${fact.device} missed a personal event`, evidence: { position, fact } })
    }
    positions.set(fact.connection, Math.max(position ?? 0, fact.position))
  }
  return found
}

const sameAsFresh = (device: DeviceView, final: FinalState): ReadonlyArray<Violation> => {
  const fresh = final.fresh.find((view) => view.user === device.user)
  const differences = fresh === undefined ? ["no fresh device can sync"] : viewDifferences(device, fresh)
  return differences.map((difference) => ({
    invariant,
    what: `${device.device}, with no further traffic: ${difference}`,
    evidence: {}
  }))
}

const sameMessages = (device: DeviceView, final: FinalState): ReadonlyArray<Violation> =>
  [...device.held].flatMap(([channel, held]) => {
    const truth = final.channels.find((final) => final.channel === channel)
    const current = new Map(truth?.messages.map((message) => [message.seq, messageView(message)]))
    return held.flatMap((message) => {
      const there = current.get(message.seq)
      if (sameMessage(there ?? null, message)) return []
      const what = `${device.device} holds an outdated form of ${channel} ${message.seq}`
      return [{ invariant, what, evidence: { held: message, there } }]
    })
  })

/** Pages of history and a sync from nothing have the same messages. */
const samePages = (
  channel: string,
  events: ReadonlyArray<ChannelEvent>,
  messages: ReadonlyArray<MessageEvent>
): ReadonlyArray<Violation> => {
  const paged = new Map(messages.map((message) => [message.seq, message]))
  return events.flatMap((event) => {
    if (event.kind !== "message") return []
    const page = paged.get(event.seq)
    if (page !== undefined && sameMessage(messageView(page), messageView(event))) return []
    const what = `history of ${channel} has another ${event.seq} than its sync`
    return [{ invariant, what, evidence: { sync: event, history: page } }]
  })
}
