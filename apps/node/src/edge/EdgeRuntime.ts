/**
 * What the parts of one edge know of each other: plain objects, made once by Edge. Ops and connections get it as an
 * argument, so that a connection holds no reference to it.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Caller } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { CloseName } from "@parley/protocol/CloseCode"
import type { WireText } from "@parley/protocol/WireText"
import type { NodeSettings } from "../NodeConfig.ts"
import type { Authentication } from "./Authentication.ts"
import type { Connection } from "./Connection.ts"
import type { EdgeTopics } from "./EdgeTopics.ts"
import { errorFrame, okFrame } from "./Frames.ts"
import type { Heartbeats } from "./Heartbeats.ts"
import type { Interest } from "./Interest.ts"
import type { Lag } from "./Lag.ts"
import { frameOf, type Outbound } from "./Outbound.ts"
import type { PresenceReports } from "./PresenceReports.ts"
import type { ReadMarks } from "./ReadMarks.ts"
import type { OpRates, Rate, RateTable } from "./RateLimit.ts"
import type { Turns } from "./Turns.ts"

export interface EdgeRuntime {
  /** Another one at each start. */
  readonly name: string
  readonly settings: NodeSettings
  readonly calls: OwnerCalls["Service"]
  readonly authentication: Authentication["Service"]
  readonly outbound: Outbound
  readonly heartbeats: Heartbeats
  readonly topics: EdgeTopics
  readonly interest: Interest
  readonly presence: PresenceReports
  readonly readMarks: ReadMarks
  readonly lag: Lag
  /** For what a herd of clients asks at once. */
  readonly turns: Turns
  /** For handshakes and tokens of clients that come at once: those inside don't wait for them. */
  readonly arrivals: Turns
  /** For what is left of connections that end at once. */
  readonly departures: Turns
  readonly rateTable: RateTable
  readonly opRates: OpRates
  readonly frameRate: Rate
  readonly connections: Set<Connection>
  /** Since the start, for metrics: ops by name, and refusals by code. */
  readonly opsDone: Map<string, number>
  readonly refusals: Map<string, number>
  /** Wall clock in ms. */
  readonly now: () => number
  /** The connection has said hello: it no longer counts against its address. */
  readonly authenticated: (connection: Connection) => void
  readonly close: (connection: Connection, why: CloseName, reason?: string) => void
}

export const answerOk = (edge: EdgeRuntime, connection: Connection, re: number, ok: WireText): void =>
  edge.outbound.push(connection, frameOf(okFrame(re, ok)), false)

export const answerFailure = (edge: EdgeRuntime, connection: Connection, re: number, failure: ApiFailure): void => {
  edge.refusals.set(failure.code, (edge.refusals.get(failure.code) ?? 0) + 1)
  edge.outbound.push(connection, frameOf(errorFrame(re, failure)), false)
}

export const callerOf = (edge: EdgeRuntime, connection: Connection): Caller => ({
  user: connection.user,
  device: connection.device,
  connection: connection.number,
  edge: edge.name
})
