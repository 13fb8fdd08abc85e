import { readUpTo, SessionState } from "@parley/actors/session/SessionState"
import { ActiveChannels } from "@parley/storage/memory/MemoryInbox"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { inOrder, type PageToken, readToken, tokenAfter, writeToken } from "../../src/edge/ops/SyncOrder.ts"

const channels = Array.from({ length: 7 }, (_, at) => `team:c${at}`)
const pageMax = 2

const step = fc.record({
  kind: fc.constantFrom("message", "read", "markUnread"),
  channel: fc.constantFrom(...channels),
  seq: fc.nat({ max: 3 })
})
const steps = fc.array(step, { maxLength: 12 })
/** What comes before a page, and whether the inbox can be asked for it. */
const turns = fc.array(fc.record({ steps, asked: fc.boolean() }), { maxLength: 8 })

/** A user with these channels; what happens to them while a device asks for its pages. */
class World {
  readonly activity: ActiveChannels
  readonly session = SessionState.empty("gil")
  readonly heads = new Map(channels.map((channel) => [channel, 1]))
  userSeq = 1

  constructor(channelsMax: number) {
    this.activity = new ActiveChannels(channelsMax)
    for (const channel of channels) this.session.channels.set(channel, 1)
  }

  take({ channel, kind, seq }: { readonly kind: string; readonly channel: string; readonly seq: number }): void {
    const head = this.heads.get(channel) ?? 0
    const cursor = this.session.cursorOf(channel)
    if (kind === "message") {
      this.heads.set(channel, head + 1)
      this.activity.note({ channel, seq: head + 1 })
    } else if (kind === "read") {
      this.session.setCursor(channel, { ...cursor, seq: Math.max(cursor.seq, Math.min(head, cursor.seq + seq)) })
    } else this.session.setCursor(channel, { generation: ++this.userSeq, seq: Math.min(seq, head) })
  }

  /** The channels of a page, and the token of the next. */
  page(
    text: string | undefined,
    asked = true
  ): { readonly sent: ReadonlyArray<string>; readonly next: string | undefined } {
    const token: PageToken | undefined = text === undefined ? undefined : readToken(text)
    const session = token?.session ?? { generation: 1, seq: this.userSeq }
    const inbox = asked ? this.activity.placesOf(readUpTo(this.session, session.seq)) : []
    const rest = inOrder(
      channels.map((channel) => ({ channel })),
      inbox,
      token
    ).map(({ channel }) => channel)
    const sent = rest.slice(0, pageMax)
    if (rest.length === sent.length) return { sent, next: undefined }
    return { sent, next: writeToken(tokenAfter(sent.at(-1) ?? "", inbox, token, session)) }
  }
}

describe("the order of a sync", () => {
  it("†10 sends each channel, whatever comes, is read, marked unread or forgotten between its pages", () => {
    fc.assert(
      fc.property(turns, fc.constantFrom(4, 100), (turns, channelsMax) => {
        const world = new World(channelsMax)
        const seen: Array<string> = []
        let next: string | undefined = undefined
        let pages = 0
        do {
          const turn = turns[pages]
          for (const one of turn?.steps ?? []) world.take(one)
          const page = world.page(next, turn?.asked ?? true)
          seen.push(...page.sent)
          next = page.next
          // The placed ones, then all by id: no more than each twice, and an end.
          expect(++pages).toBeLessThanOrEqual(channels.length + 1)
        } while (next !== undefined)
        expect([...new Set(seen)].toSorted()).toEqual(channels)
      }),
      { numRuns: 2_000 }
    )
  })

  it("†10 begins with what is not read, where the last message is the newest first, and goes on by id", () => {
    const world = new World(100)
    for (const channel of ["team:c2", "team:c6", "team:c4"]) world.take({ kind: "message", channel, seq: 0 })
    world.take({ kind: "message", channel: "team:c2", seq: 0 })
    world.take({ kind: "read", channel: "team:c4", seq: 2 })
    const seen: Array<string> = []
    let next: string | undefined = undefined
    do {
      const page = world.page(next)
      seen.push(...page.sent)
      next = page.next
    } while (next !== undefined)
    expect(seen).toEqual(["team:c2", "team:c6", "team:c0", "team:c1", "team:c3", "team:c4", "team:c5"])
  })
})
