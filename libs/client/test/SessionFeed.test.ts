import { describe, expect, it } from "vitest"
import type { PlainUserEvent } from "../src/PlainFrame.ts"
import { SessionFeed } from "../src/SessionFeed.ts"

const added = (user_seq: number): PlainUserEvent => ({
  user_seq,
  at: 1,
  kind: "added",
  channel: `group:c${user_seq}`,
  seq: 1
})

const feed = () => {
  const applied: Array<number> = []
  return { applied, feed: new SessionFeed(10, ({ user_seq }) => applied.push(user_seq)) }
}

describe("the user's own sequence", () => {
  it("does not go back by a first answer that is older than what was pushed while it was on its way", () => {
    const { applied, feed: session } = feed()
    session.event(1, added(1))
    session.event(2, added(2))
    session.event(3, added(3))
    session.synced({ generation: 1, seq: 1 }, [added(1)])
    expect(session.position).toEqual({ generation: 1, seq: 3 })
    expect(session.hole).toBe(false)
    session.event(4, added(4))
    expect(applied).toEqual([1, 2, 3, 4])
  })

  it("takes what the first answer brings, and what was held back for a hole before it", () => {
    const { applied, feed: session } = feed()
    session.event(3, added(3))
    expect(session.hole).toBe(true)
    session.synced({ generation: 1, seq: 2 }, [added(2), added(1)])
    expect(applied).toEqual([1, 2, 3])
    expect(session.position).toEqual({ generation: 1, seq: 3 })
  })

  it("begins anew with another generation", () => {
    const { applied, feed: session } = feed()
    session.synced({ generation: 1, seq: 5 }, [])
    session.synced({ generation: 2, seq: 3 }, [added(3)])
    expect(session.position).toEqual({ generation: 2, seq: 3 })
    expect(applied).toEqual([3])
  })
})
