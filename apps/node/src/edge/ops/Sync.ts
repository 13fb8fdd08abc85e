/**
 * Sync: what a device has missed, in pages of channels, those of the inbox first (SyncOrder). A page attaches its channels, then asks their
 * owners from the positions that the device holds (†8): what comes live meanwhile waits until the page is written. A
 * channel that the owner serves this edge already is joined at once: that the user may have it is said by the owner's
 * answer to the question itself, and until then he is shown nothing (†7). Herds are taken in turns. The page token is
 * stateless, so any edge takes up where another stopped. NO-GAP-SYNC.
 */
import type { SessionView, SyncItem, SyncResult } from "@parley/actors/owner/OwnerProtocol"
import type { Op } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { WireText } from "@parley/protocol/WireText"
import type { Connection } from "../Connection.ts"
import { answerFailure, answerOk, type EdgeRuntime } from "../EdgeRuntime.ts"
import { decodeOp } from "../Frames.ts"
import { ask } from "../OwnerAnswers.ts"
import { isServed, type Topic } from "../Topic.ts"
import { type InboxPlace, inOrder, type PageToken, readToken, tokenAfter, writeToken } from "./SyncOrder.ts"

/**
 * How long a page waits for the owners of its channels to attach it, and again to say what is new: whose owner has not
 * answered then is named `unavailable`, and the others are not kept from the user any longer.
 */
export const ownersWaitMsMax = 5_000

interface Lost {
  readonly channel: string
  readonly seq: number
}

/** `text` is the frame as it came. */
export const sync = (edge: EdgeRuntime, connection: Connection, frame: Op<"sync">, text: string): void => {
  const token = frame.page === undefined ? undefined : readToken(frame.page)
  if (frame.page !== undefined && token === undefined) {
    return answerFailure(edge, connection, frame.id, { code: "invalid", detail: "page is not a token of this server" })
  }
  // From here on channels that the user is added to are brought by Joining; those before are in the session's list.
  connection.synced = true
  const taken = edge.turns.run(
    edge.turns.free ? now(edge, connection, frame, token) : later(edge, connection, text, token)
  )
  if (!taken) answerFailure(edge, connection, frame.id, { code: "overloaded", retry_after_ms: edge.lag.retryAfterMs })
}

const now = (edge: EdgeRuntime, connection: Connection, frame: Op<"sync">, token: PageToken | undefined) => () =>
  openPage(edge, connection, frame, token)

/** It may wait for seconds: as a text it is one object for the collector to move, read it is hundreds. */
const later = (edge: EdgeRuntime, connection: Connection, text: string, token: PageToken | undefined) => () =>
  openPage(edge, connection, readAgain(text), token)

/** A sync that was read before. */
const readAgain = (text: string): Op<"sync"> => {
  const value: object = JSON.parse(text)
  const decoded = decodeOp("sync", value)
  if ("failure" in decoded || decoded.frame.op !== "sync") throw new Error("a sync can't be read twice")
  return decoded.frame
}

const openPage = (edge: EdgeRuntime, connection: Connection, frame: Op<"sync">, token: PageToken | undefined): void => {
  if (connection.state !== "live") return
  const { user } = connection
  ask(edge.calls, edge.calls.shardOf(user), { _tag: "Open", user, after: frame.session }, (reply) => {
    if (connection.state !== "live") return
    if ("ok" in reply) new SyncPage(edge, connection, frame, token, reply.ok).run()
    else answerFailure(edge, connection, frame.id, reply.failure)
  })
}

type Place = Op<"sync">["channels"][number]
type Synced = Extract<SyncResult, { readonly _tag: "Sync" }>

/** One channel of a page. */
interface Part {
  readonly item: SyncItem
  readonly topic: Topic
  /** Whether the connection is to be put on the topic: it may not, or hears of it already. */
  joins: boolean
  /** It is on the topic, and what comes live waits. */
  joining: boolean
  /** Its owner was asked something and has not answered. */
  waits: boolean
  result: Synced | undefined
}

class SyncPage {
  readonly #edge: EdgeRuntime
  readonly #connection: Connection
  readonly #frame: Op<"sync">
  readonly #token: PageToken | undefined
  readonly #view: SessionView
  /** In the order of the page. */
  #parts: ReadonlyArray<Part> = []
  readonly #lost: Array<Lost> = []
  /** Channels whose owner can't say now, and why: one such channel does not keep the user from all others. */
  readonly #unavailable = new Map<string, ApiFailure>()
  /** The last channel of this page that the session has; null: no channel follows it. */
  #more: string | null = null
  /** The user's inbox; undefined: nothing has to be put in order yet. */
  #inbox: ReadonlyArray<InboxPlace> | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined

  constructor(
    edge: EdgeRuntime,
    connection: Connection,
    frame: Op<"sync">,
    token: PageToken | undefined,
    view: SessionView
  ) {
    this.#edge = edge
    this.#connection = connection
    this.#frame = frame
    this.#token = token
    this.#view = view
  }

  /** Where everything fits one page its order is of no interest, and nobody is asked for the inbox. */
  run(): void {
    if (this.#token === undefined && this.#view.channels.length <= Limits.syncPageChannelsMax) this.#choose()
    else this.#readInbox(() => this.#choose())
  }

  /** Without an inbox it goes by ids, and so where that takes too long. */
  #readInbox(then: () => void): void {
    const { calls } = this.#edge
    const { user } = this.#connection
    const asOf = (this.#token?.session ?? this.#view.position).seq
    const take = (places: ReadonlyArray<InboxPlace>) => {
      if (this.#inbox !== undefined) return
      clearTimeout(this.#timer)
      this.#inbox = places
      then()
    }
    this.#timer = setTimeout(() => take([]), ownersWaitMsMax)
    ask(calls, calls.shardOf(user), { _tag: "Inbox", user, asOf }, (reply) => take("ok" in reply ? reply.ok : []))
  }

  #choose(): void {
    const held = new Map<string, Place>()
    for (const place of this.#frame.channels) held.set(place[0], place)
    const rest =
      this.#inbox === undefined ? this.#view.channels : inOrder(this.#view.channels, this.#inbox, this.#token)
    const page = rest.slice(0, Limits.syncPageChannelsMax)
    if (rest.length > page.length) this.#more = page.at(-1)?.channel ?? null
    const { topics } = this.#edge
    let found = 0
    // Looked for in one go: each waits for memory that no cache holds, and so they wait together.
    const topicsOfPage = page.map(({ channel }) => topics.channel(channel))
    this.#parts = page.map(({ channel, cursor }, at) => {
      const place = held.get(channel)
      if (place !== undefined) found++
      return {
        item: { channel, cursor, held: place === undefined ? null : { generation: place[1], seq: place[2] } },
        topic: topicsOfPage[at] ?? topics.channel(channel),
        joins: false,
        joining: false,
        waits: false,
        result: undefined
      }
    })
    if (this.#token === undefined && found < held.size) this.#findLost(held.keys())
    this.#attach()
  }

  /** Channels that the device named and the session does not have. */
  #findLost(named: Iterable<string>): void {
    const here = new Set(this.#view.channels.map(({ channel }) => channel))
    const left = new Map(this.#view.left.map(({ channel, seq }) => [channel, seq]))
    for (const channel of named) if (!here.has(channel)) this.#lost.push({ channel, seq: left.get(channel) ?? 0 })
  }

  #attach(): void {
    const { interest } = this.#edge
    const connection = this.#connection
    // Of a connection that is on no topic none has to be asked whether it is there.
    const fresh = connection.topics.length === 0
    let waiting = this.#parts.length
    for (const part of this.#parts) {
      const { topic } = part
      if (isServed(interest, topic)) {
        part.joins = fresh || !topic.has(connection)
        waiting--
        continue
      }
      part.waits = true
      interest.want(topic.shard, topic.name, connection.user, (result) => {
        if (!part.waits) return
        part.waits = false
        if ("failure" in result) this.#unavailable.set(topic.id, result.failure)
        // The owner will say `Lost`, and since when, to the sync.
        else if (!result.denied) this.#begin(part)
        if (--waiting === 0) this.#ask()
      })
    }
    // Never from within `want`: it answers later.
    if (waiting === 0) return this.#ask()
    this.#waitFor(() => this.#ask())
    // Meanwhile nobody else may be on those that are served: they would be dropped, or not attached again with the rest.
    for (const part of this.#parts) if (part.joins) this.#begin(part)
  }

  /** From now on what comes live waits for the page. */
  #begin(part: Part): void {
    part.joins = part.joining = this.#edge.topics.beginJoin(part.topic, this.#connection)
  }

  /** Then it goes on without those that did not answer. */
  #waitFor(then: () => void): void {
    this.#timer = setTimeout(() => {
      for (const part of this.#parts) {
        if (!part.waits) continue
        part.waits = false
        this.#giveUp(part, { code: "unavailable" })
      }
      then()
    }, ownersWaitMsMax)
  }

  /** One request a shard. */
  #ask(): void {
    clearTimeout(this.#timer)
    const byShard = new Map<number, Array<Part>>()
    for (const part of this.#parts) {
      const { id, shard } = part.topic
      if (this.#unavailable.has(id)) continue
      part.waits = true
      const parts = byShard.get(shard)
      if (parts === undefined) byShard.set(shard, [part])
      else parts.push(part)
    }
    let waiting = byShard.size
    if (waiting === 0) return this.#answer()
    for (const [shard, parts] of byShard) {
      ask(
        this.#edge.calls,
        shard,
        {
          _tag: "Sync",
          user: this.#connection.user,
          items: parts.map(({ item }) => item),
          eventsMax: Limits.syncEventsPerChannelMax,
          bytesMax: Limits.syncPageBytesMax
        },
        (reply) => {
          if (parts[0]?.waits !== true) return
          parts.forEach((part, index) => {
            part.waits = false
            // One result an item, in their order.
            const result = "ok" in reply ? reply.ok[index] : undefined
            if (result !== undefined) this.#take(part, result)
            else this.#giveUp(part, "failure" in reply ? reply.failure : { code: "unavailable" })
          })
          if (--waiting === 0) this.#answer()
        }
      )
    }
    // Answered in this very turn, no live event came between. Otherwise they wait from here on.
    if (waiting === 0) return
    for (const part of this.#parts) if (part.joins && !part.joining) this.#begin(part)
    this.#waitFor(() => this.#answer())
  }

  #take(part: Part, result: SyncResult): void {
    if (result._tag === "Sync") part.result = result
    else if (result._tag === "Failed") this.#giveUp(part, result.failure)
    else {
      this.#lost.push({ channel: result.channel, seq: result.seq })
      this.#abort(part)
    }
  }

  #giveUp(part: Part, failure: ApiFailure): void {
    this.#unavailable.set(part.topic.id, failure)
    this.#abort(part)
  }

  #abort(part: Part): void {
    if (part.joining) this.#edge.topics.abortJoin(part.topic, this.#connection)
    part.joins = part.joining = false
    part.result = undefined
  }

  #fail(failure: ApiFailure): void {
    for (const part of this.#parts) this.#abort(part)
    answerFailure(this.#edge, this.#connection, this.#frame.id, failure)
  }

  #answer(): void {
    clearTimeout(this.#timer)
    if (this.#connection.state !== "live") return
    const [failure] = this.#unavailable.values()
    // None of the page: then it is not about some channel, and the whole sync is worth repeating.
    if (failure !== undefined && this.#unavailable.size === this.#parts.length) return this.#fail(failure)
    if (this.#inbox === undefined && this.#bytes() > Limits.syncPageBytesMax) return this.#answerInOrder()
    const written = this.#fill()
    const first = this.#token === undefined
    const session = this.#token?.session ?? this.#view.position
    const unavailable =
      this.#unavailable.size === 0 ? "" : `,"unavailable":${JSON.stringify([...this.#unavailable.keys()])}`
    const next = this.#more === null ? null : tokenAfter(this.#more, this.#inbox ?? [], this.#token, session)
    const more = next === null ? "null" : `"${writeToken(next)}"`
    answerOk(
      this.#edge,
      this.#connection,
      this.#frame.id,
      `{"session":{"generation":${session.generation},"seq":${session.seq}},"reload":${first && this.#view.reload},"personal":[${
        first ? this.#view.personal.join(",") : ""
      }],"channels":[${written.join(",")}],"lost":${JSON.stringify(this.#lost)}${unavailable},"more":${more}}`
    )
    const { topics } = this.#edge
    for (const { joining, joins, result, topic } of this.#parts) {
      if (result === undefined) continue
      if (joins && !joining) topics.join(topic, this.#connection, result.head)
      // One that was on the topic before is as far now, too: an older removal is none of this stay.
      else topics.endJoin(topic, this.#connection, result.head)
    }
  }

  /** All the channels are here, and are more than a page: what is alive goes first. Meanwhile what comes live waits. */
  #answerInOrder(): void {
    for (const part of this.#parts) if (part.joins && !part.joining) this.#begin(part)
    this.#readInbox(() => {
      const parts = this.#parts.map((part) => ({ channel: part.topic.id, part }))
      this.#parts = inOrder(parts, this.#inbox ?? [], this.#token).map(({ part }) => part)
      this.#answer()
    })
  }

  #bytes(): number {
    let bytes = 0
    for (const { result } of this.#parts) bytes += result?.sync.length ?? 0
    return bytes
  }

  /** The page's channels up to its soft bound in bytes; the others begin the next page. */
  #fill(): ReadonlyArray<WireText> {
    const written: Array<WireText> = []
    let bytes = 0
    let last = ""
    let full = false
    for (const part of this.#parts) {
      const { result } = part
      if (result === undefined) continue
      if (!full && bytes > 0 && bytes + result.sync.length > Limits.syncPageBytesMax) {
        full = true
        this.#more = last
      }
      if (full) {
        this.#abort(part)
        continue
      }
      bytes += result.sync.length
      last = result.channel
      written.push(result.sync)
    }
    return written
  }
}
