/** A herd that comes back: topics that the owner serves already are not attached again, and permission is asked all the same. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { channelTopic } from "@parley/actors/owner/OwnerProtocol"
import { turnMsMin, Turns } from "../../src/edge/Turns.ts"
import { clientId, EdgeHarness, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

const say = (channel: string) => harness.owners.append(channel, "message", "x", { text: "m", cid: clientId() })

const attachesOf = (channel: string): number =>
  harness.owners.attaches.filter(({ topics }) => topics.some(({ topic }) => topic === channelTopic(channel))).length

const leave = async (user: string, client: { readonly socket: { terminate(): void } }) => {
  client.socket.terminate()
  await until(() => harness.edge.runtime.topics.connectionsOf(user).length === 0)
}

describe("a topic that outlives its last connection", () => {
  it("is joined by a client that comes back without another attach, and is live", async () => {
    harness.owners.channel("team:back", ["ann"])
    await leave("ann", await harness.join("ann"))
    say("team:back")
    const ann = await harness.join("ann")
    say("team:back")
    await until(() => ann.events("team:back").length === 1)
    expect(ann.events("team:back")).toEqual([3])
    expect(attachesOf("team:back")).toBe(1)
  })

  it("is attached again where the owner has lost the interest meanwhile (†9)", async () => {
    harness.owners.channel("team:lost", ["bob"])
    await leave("bob", await harness.join("bob"))
    for (const edge of harness.owners.subscribers.keys()) harness.owners.interest.removeEdge(edge)
    const { interest } = harness.edge.runtime
    for (let shard = 1; shard <= 4; shard++) interest.attachAgain(shard)
    const bob = await harness.join("bob")
    expect(attachesOf("team:lost")).toBe(2)
    say("team:lost")
    await until(() => bob.events("team:lost").length === 1)
  })

  it("is not joined where it has a hole that nobody was there to be shown", async () => {
    harness.owners.channel("team:hole", ["cid"])
    await leave("cid", await harness.join("cid"))
    harness.owners.lose = (message) => message.items.length > 0
    say("team:hole")
    say("team:hole")
    harness.owners.links.flush()
    harness.owners.lose = () => false
    harness.edge.runtime.topics.take({ _tag: "Covered", topic: channelTopic("team:hole"), from: 2, to: 3 })
    const cid = await harness.join("cid")
    expect(attachesOf("team:hole")).toBe(2)
    say("team:hole")
    await until(() => cid.events("team:hole").includes(4))
  })

  it("gives nothing to one who is out by now, though the edge holds it for another (†7)", async () => {
    harness.owners.channel("team:out", ["dan", "eva"])
    const dan = await harness.join("dan")
    await leave("eva", await harness.join("eva"))
    // His session has not heard of it yet: only the channel's owner knows.
    harness.owners.channels.get("team:out")?.members.delete("eva")
    harness.owners.intercept = (request) => {
      // An event that comes while his sync is on its way is for those who are in.
      if (request._tag === "Sync" && request.user === "eva") say("team:out")
      return undefined
    }
    const eva = await harness.hello("eva")
    const answer = await eva.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
    harness.owners.intercept = () => undefined
    expect(answer["ok"].channels).toEqual([])
    expect(answer["ok"].lost.map((lost: { readonly channel: string }) => lost.channel)).toEqual(["team:out"])
    say("team:out")
    await until(() => dan.events("team:out").length === 2)
    await eva.request("ping")
    expect(eva.events("team:out")).toEqual([])
  })
})

describe("a connection that is cut off with many others", () => {
  it("is shown nothing from then on, and is off its topics and out of presence in its turn", async () => {
    harness.owners.channel("team:cut", ["fay", "gil"])
    const [fay, gil] = [await harness.join("fay"), await harness.join("gil")]
    const { connections, departures, outbound, topics } = harness.edge.runtime
    const topic = topics.channel("team:cut")
    const own = topics.connectionsOf("fay")
    // As if thousands had ended in this turn of the event loop: each leaves in a later one.
    let others = 0
    const busy = () => {
      const until = performance.now() + 12
      while (performance.now() < until);
      if (others++ < 5) departures.run(busy)
    }
    departures.run(busy)
    own[0]?.socket.destroy()
    await until(() => own[0]?.state === "closed")
    expect(connections.has(own[0]!)).toBe(false)
    expect([departures.waiting > 0, topic.size]).toEqual([true, 2])
    const { frames } = outbound
    say("team:cut")
    await until(() => gil.events("team:cut").length === 1)
    expect(outbound.frames).toBe(frames + 1)
    await until(() => topic.size === 1)
    expect(topics.connectionsOf("fay")).toEqual([])
    // Who is back before that is another connection.
    await fay.whenClosed()
    const again = await harness.join("fay")
    say("team:cut")
    await until(() => again.events("team:cut").length === 1)
  })
})

describe("turns", () => {
  it("do what there is time for in a turn, and the rest in the next ones, in order", async () => {
    let now = 0
    const turns = new Turns(() => now)
    const done: Array<number> = []
    for (let job = 0; job < 10; job++) {
      turns.run(() => {
        done.push(job)
        now += 4
      })
    }
    // 10 ms a turn: the third job begins within them, the others wait.
    expect([done, turns.waiting]).toEqual([[0, 1, 2], 7])
    await until(() => turns.waiting === 0)
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it("take as long as all else in a turn took, up to a bound, so that a busy loop does not starve them", async () => {
    let now = 0
    const turns = new Turns(() => now)
    let done = 0
    for (let job = 0; job < 100; job++) {
      turns.run(() => {
        done++
        now++
      })
    }
    expect(done).toBe(10)
    // Others took 1,000 ms since then.
    now += 1_000
    await new Promise((resolve) => setImmediate(resolve))
    expect(done).toBe(60)
    await until(() => turns.waiting === 0)
  })

  it("take no more than they may where nobody waits for them", async () => {
    let now = 0
    const turns = new Turns(() => now, turnMsMin)
    let done = 0
    for (let job = 0; job < 100; job++) {
      turns.run(() => {
        done++
        now++
      })
    }
    now += 1_000
    await new Promise((resolve) => setImmediate(resolve))
    expect(done).toBe(20)
    await until(() => turns.waiting === 0)
  })
})
