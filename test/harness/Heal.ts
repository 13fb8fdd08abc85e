/**
 * The end of a run: everything is up, nobody sends any more. Waits until each device holds, without asking, what a fresh
 * one gets, or the time is over; then reads what is there. What can't be read is said, not thrown.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { ChannelEvent, MessageEvent, UserEvent } from "@parley/protocol/Event"
import type { ChannelSync } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import {
  type DeviceView,
  type FinalChannel,
  type FinalState,
  messageView,
  type FreshView,
  viewDifferences
} from "../checker/FinalState.ts"
import type { Device } from "../wire/Device.ts"
import { tokenFor } from "../wire/Tokens.ts"
import { consumersDone } from "./ConsumersDone.ts"
import { WireSocket } from "../wire/WireSocket.ts"

/** Between two questions for what is unavailable now. */
const unavailableMs = 500
/** Pages of one reading; far more than a run has. */
const pagesMax = 10_000
const pollMs = 100
/** Longer than what is committed takes to whom it concerns, once the member fan-out has told it. */
const quietMs = 600
/** A reading by one fresh device; a sync alone may wait five seconds for an owner before it says that it is unavailable. */
const readMsMax = 20_000

export interface HealOptions {
  readonly url: () => string | undefined
  readonly devices: ReadonlyArray<Device>
  readonly channels: ReadonlyArray<string>
  /** Who may read all of them. */
  readonly owner: string
  /** How long devices have to catch up by themselves. */
  readonly settleMsMax: number
  /** All servers whose consumers of the log may still have something to tell; none where it is known that they do not. */
  readonly servers: () => ReadonlyArray<string>
  /** For so long nothing has moved. */
  readonly quietMs?: number
}

export const heal = async (options: HealOptions): Promise<FinalState> => {
  const { devices, fresh, failed } = await settle(options)
  const channels: Array<FinalChannel> = []
  for (const channel of options.channels) {
    const read = await guarded(() => readChannel(options.url(), options.owner, channel))
    if ("why" in read) failed.set(channel, read.why)
    else channels.push(read.ok)
  }
  return { channels, unreadable: [...failed].map(([what, why]) => ({ what, why })), fresh, devices }
}

interface Settled {
  readonly devices: ReadonlyArray<DeviceView>
  readonly fresh: ReadonlyArray<FreshView>
  readonly failed: Map<string, string>
}

/**
 * Looks until the member fan-out is done, and nothing has moved and nothing differed for a while, or the time is over: what
 * is told to a device after a fresh one was asked would be held against that one's answer.
 */
const settle = async (options: HealOptions): Promise<Settled> => {
  const users = [...new Set(options.devices.map((device) => device.user))]
  const until = Date.now() + options.settleMsMax
  const quietEnoughMs = options.quietMs ?? quietMs
  let quietSince = Infinity
  let before = ""
  for (;;) {
    const fresh: Array<FreshView> = []
    const failed = new Map<string, string>()
    for (const user of users) {
      const view = await guarded(() => freshView(options.url(), user))
      if ("why" in view) failed.set(user, view.why)
      else fresh.push(view.ok)
    }
    await Promise.all(options.devices.map((device) => (device.watches ? undefined : device.look())))
    const devices = options.devices.map((device) => device.view())
    const now = JSON.stringify(fresh.map(({ channels, session }) => [session, ...channels]))
    const done = await consumersDone(options.servers())
    const same = done && failed.size === 0 && options.devices.every((device) => isSettled(device, fresh))
    quietSince = same && now === before ? Math.min(quietSince, Date.now()) : Infinity
    before = now
    if (Date.now() - quietSince > quietEnoughMs || Date.now() > until) return { devices, fresh, failed }
    await delay(pollMs)
  }
}

const isSettled = (device: Device, fresh: ReadonlyArray<FreshView>): boolean => {
  const view = fresh.find(({ user }) => user === device.user)
  return view !== undefined && device.ready && viewDifferences(device.view(), view).length === 0
}

const guarded = async <A>(read: () => Promise<A>): Promise<{ readonly ok: A } | { readonly why: string }> => {
  try {
    return { ok: await read() }
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) }
  }
}

let readers = 0

/** Opens a connection as a device that was never seen before. */
const asFresh = async <A>(
  url: string | undefined,
  user: string,
  use: (socket: WireSocket) => Promise<A>
): Promise<A> => {
  if (url === undefined) throw new Error("there is no server")
  const broken: Array<string> = []
  const socket = await WireSocket.open(url, { onPush: () => {}, onBroken: (what) => broken.push(what) })
  if (socket === undefined) throw new Error("no connection")
  const timer = setTimeout(() => socket.terminate(), readMsMax)
  try {
    const token = await tokenFor(url, user)
    ok(await socket.request("hello", { token, device: `reader-${++readers}` }))
    const result = await use(socket)
    if (broken.length > 0) throw new Error(broken.join("; "))
    return result
  } finally {
    clearTimeout(timer)
    socket.terminate()
  }
}

const ok = <A>(
  reply:
    | { readonly _tag: "Ok"; readonly ok: A }
    | { readonly _tag: "Error"; readonly error: unknown }
    | { readonly _tag: "Lost" }
): A => {
  if (reply._tag === "Ok") return reply.ok
  throw new Error(reply._tag === "Lost" ? "the connection was lost" : JSON.stringify(reply.error))
}

interface Synced {
  readonly session: { readonly generation: number; readonly seq: number }
  readonly channels: ReadonlyArray<ChannelSync>
  readonly personal: ReadonlyArray<UserEvent>
}

const syncOnce = async (
  socket: WireSocket,
  held: ReadonlyArray<readonly [string, number, number]>
): Promise<Synced> => {
  const channels: Array<ChannelSync> = []
  const personal: Array<UserEvent> = []
  const first = { channels: held, session: { generation: 0, seq: 0 } }
  let more: string | null = null
  for (let pages = 0; pages < pagesMax; pages++) {
    const answer: Synced & { readonly more: string | null; readonly unavailable?: ReadonlyArray<string> } = ok(
      await socket.request("sync", more === null ? first : { ...first, page: more })
    )
    // As a device does; who can't read in the end is told of.
    if (answer.unavailable !== undefined) {
      await delay(unavailableMs)
      return syncOnce(socket, held)
    }
    channels.push(...answer.channels)
    personal.push(...answer.personal)
    more = answer.more
    if (more === null) return { session: answer.session, channels, personal }
  }
  throw new Error("a sync without end")
}

const freshView = (url: string | undefined, user: string): Promise<FreshView> =>
  asFresh(url, user, async (socket) => {
    const { channels, personal, session } = await syncOnce(socket, [])
    return {
      user,
      session: session.seq,
      personal,
      channels: new Map(
        channels.map(({ head }) => {
          const { cursor, last, members, mentions, n, name, seq, unread } = head
          return [
            head.channel,
            { seq, n, name, members, unread, mentions, cursor, last: last === null ? null : messageView(last) }
          ]
        })
      )
    }
  })

/** By sync from nothing, and by pages of history. */
const readChannel = (url: string | undefined, user: string, channel: string): Promise<FinalChannel> =>
  asFresh(url, user, async (socket) => {
    const head = (await syncOnce(socket, [])).channels.find(({ head }) => head.channel === channel)?.head
    if (head === undefined) throw new Error("the channel is gone")
    const events: Array<ChannelEvent> = []
    for (let position = 0, pages = 0; position < head.seq; pages++) {
      const found = (await syncOnce(socket, [[channel, head.generation, position]])).channels
      const sync = found.find(({ head }) => head.channel === channel)
      if (sync === undefined || sync.reload || sync.to <= position || pages > pagesMax) {
        throw new Error(`no sync from ${position}: ${JSON.stringify(sync?.head)}`)
      }
      events.push(...sync.events)
      position = sync.to
    }
    return { channel, head: head.seq, n: head.n, events, messages: await allMessages(socket, channel) }
  })

const allMessages = async (socket: WireSocket, channel: string): Promise<ReadonlyArray<MessageEvent>> => {
  const messages: Array<MessageEvent> = []
  for (let after = 0, pages = 0; pages < pagesMax; pages++) {
    const page = ok(await socket.request("history", { channel, after, limit: Limits.historyLimitMax }))
    messages.push(...page.events)
    if (!page.after) return messages
    after = page.to
  }
  throw new Error("history without end")
}
