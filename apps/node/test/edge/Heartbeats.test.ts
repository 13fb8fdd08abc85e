/** The wheel's promises, on a clock of the test's own. */
import { describe, expect, it } from "@effect/vitest"
import { Limits } from "@parley/protocol/Limits"
import type { Connection } from "../../src/edge/Connection.ts"
import { Heartbeats } from "../../src/edge/Heartbeats.ts"
import { heartbeatMs, pingAfterMs } from "../../src/edge/ops/Hello.ts"

const { helloTimeoutMs, idleTimeoutMs } = Limits
/** A client looks at its clock in quarters of its heartbeat, see the client's Wire. */
const latestPingMs = heartbeatMs(idleTimeoutMs) * 1.25

const make = () => {
  const pinged: Array<Connection> = []
  const closed: Array<readonly [Connection, string]> = []
  const wheel = new Heartbeats({
    helloTimeoutMs,
    idleTimeoutMs,
    pingAfterMs: pingAfterMs(idleTimeoutMs),
    now: () => 0,
    ping: (connection) => pinged.push(connection),
    close: (connection, why) => {
      connection.state = "closed"
      closed.push([connection, why])
    }
  })
  const live = (): Connection => {
    // What the wheel looks at.
    const connection = {
      state: "live",
      openedAt: wheel.now,
      heardAt: wheel.now,
      expiresAt: Infinity,
      pinged: false,
      dueTick: 0
    } as Connection
    wheel.add(connection)
    return connection
  }
  return { closed, live, pinged, start: wheel.now, wheel }
}

describe("heartbeats", () => {
  it("never ping a client that keeps its own heartbeat, and close nobody who is heard", () => {
    const { closed, live, pinged, start, wheel } = make()
    const client = live()
    for (let ms = 0; ms < 600_000; ms += 250) {
      wheel.advance(start + ms)
      if (ms % latestPingMs === 0) client.heardAt = wheel.now
    }
    expect([pinged.length, closed.length]).toEqual([0, 0])
  })

  it("ping a silent one once, and close it when it does not answer in time, in less than 30 s", () => {
    const { closed, live, pinged, start, wheel } = make()
    const dead = live()
    let ms = 0
    for (; closed.length === 0 && ms < 60_000; ms += 250) wheel.advance(start + ms)
    expect(pinged).toEqual([dead])
    expect(closed).toEqual([[dead, "idle"]])
    expect(ms).toBeLessThan(30_000)
  })
})
