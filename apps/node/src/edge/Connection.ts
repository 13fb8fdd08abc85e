/**
 * One client's connection, as small as can be: fields only, handlers are shared, one timing wheel serves all (target:
 * 10 kB of RSS an idle one, `ws` included). Its life: hello → live → closed, and never back.
 * Plain TypeScript on the hot path: benches `fanout`, `send` and `idle`.
 */
import type { WireText } from "@parley/protocol/WireText"
import type { EdgeSocket } from "./EdgeSocket.ts"
import type { Frame } from "./Frames.ts"
import type { OwnEvents } from "./OwnEvents.ts"
import type { Topic } from "./Topic.ts"

export type ConnectionState =
  /** Waits for its first frame. */
  | "hello"
  /** The token is being checked, or the session opened; frames wait. */
  | "opening"
  | "live"
  | "closed"

/** Frames a client may send on before its hello is answered. */
export const earlyFramesMax = 8
/** Channels of which a connection remembers what it reported as seen. */
const seenChannelsMax = 64

export class Connection {
  /** Unique on this edge, never 0. */
  readonly number: number
  readonly socket: EdgeSocket
  readonly address: string
  state: ConnectionState = "hello"
  user = ""
  device = ""
  /** Seconds since 1970, from the token. */
  issuedAt = 0
  /** Milliseconds since 1970. */
  expiresAt = 0
  /** On the wheel's clock; Infinity while its hello waits for its turn. */
  openedAt: number
  heardAt: number
  pinged = false
  /** The wheel's tick at which it is looked at next; entries elsewhere on the wheel are stale. */
  dueTick = 0
  /** Frames that wait for the next flush, framed and joined. */
  pending: WireText = ""
  dirty = false
  /** Its queue is past the hard bound; it is about to be closed. */
  slow = false
  /** Theoretical arrival time of the next frame, see RateLimit. */
  nextFrameAt = 0
  /** Refusals in a row. */
  strikes = 0
  /** Takes no ephemeral frames. */
  background = false
  /** Has synced, so it hears of channels that are added. */
  synced = false
  /** Channel topics it is on. */
  topics: Array<Topic> = []
  watchedChannels: Set<string> | null = null
  watchedUsers: Set<string> | null = null
  /** Of mutations under way, or without a known end. */
  own: OwnEvents | null = null
  /** Frames that came before hello was answered. */
  early: Array<Frame> | null = null
  #seen: Map<string, number> | null = null

  constructor(number: number, socket: EdgeSocket, address: string, now: number) {
    this.number = number
    this.socket = socket
    this.address = address
    this.openedAt = now
    this.heardAt = now
  }

  /** Whether this is further than what the connection reported before for the channel. */
  seesFurther(channel: string, seq: number): boolean {
    this.#seen ??= new Map()
    if ((this.#seen.get(channel) ?? 0) >= seq) return false
    this.#seen.delete(channel)
    this.#seen.set(channel, seq)
    if (this.#seen.size > seenChannelsMax) {
      const oldest = this.#seen.keys().next()
      if (oldest.done !== true) this.#seen.delete(oldest.value)
    }
    return true
  }
}
