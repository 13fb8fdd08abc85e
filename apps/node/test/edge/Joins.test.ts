/** Interleavings of joining a topic with all else that happens to it: whoever was told of a channel hears of it from then on. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { channelTopic } from "@parley/actors/owner/OwnerProtocol"
import { clientId, EdgeHarness, type Frame, type TestClient, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

const everything = { channels: [], session: { generation: 0, seq: 0 } }
const say = (channel: string) => harness.owners.append(channel, "message", "x", { text: "m", cid: clientId() })
const runtime = () => harness.edge.runtime
const topicOf = (channel: string) => runtime().topics.channel(channel)

/** What the link brings of the topic is on its way until it is let arrive. */
const late = ({ name }: ReturnType<typeof topicOf>): (() => void) => {
  const { topics } = runtime()
  const take = topics.take.bind(topics)
  const onWay: Array<Parameters<typeof take>[0]> = []
  topics.take = (item) => {
    if (item.topic === name) onWay.push(item)
    else take(item)
  }
  return () => {
    topics.take = take
    for (const item of onWay) take(item)
  }
}

const topicsHeld = () => [1, 2, 3, 4].flatMap((shard) => [...runtime().topics.ofShard(shard)])

/** The user's connection at the edge. */
const connectionOf = (user: string) => {
  const [connection] = runtime().topics.connectionsOf(user)
  if (connection === undefined) throw new Error(`${user} is not connected`)
  return connection
}

const leave = async (user: string, client: TestClient) => {
  client.socket.terminate()
  await until(() => runtime().topics.connectionsOf(user).length === 0)
}

const hears = async (client: TestClient, channel: string) => {
  const seq = say(channel)
  await until(() => client.events(channel).includes(seq))
}

/** The seqs of all that a channel's frames covered, in their order, as a client takes them. */
const told = (client: TestClient, channel: string): ReadonlyArray<string> =>
  client.frames.flatMap((frame) => {
    if (frame["ev"] === "event" && frame["channel"] === channel) return [`${frame["event"].kind} ${frame["to"]}`]
    const syncs = frame["ev"] === "channel" ? [frame["sync"]] : (frame["ok"]?.channels ?? [])
    return syncs
      .filter(({ head }: { readonly head: { readonly channel: string } }) => head.channel === channel)
      .map(({ to }: { readonly to: number }) => `sync ${to}`)
  })

/** One of a user's channels is served already; another is not, and the answer to its attach is on its way. */
const halfServed = async (user: string, served: string, other: string) => {
  harness.owners.channel(served, [user])
  await leave(user, await harness.join(user))
  harness.owners.channel(other, [user])
  harness.owners.holds = (asked) =>
    asked._tag === "Attach" && asked.topics.some(({ topic }) => topic === channelTopic(other))
  const client = await harness.hello(user)
  const id = client.post("sync", everything)
  await until(() => harness.owners.held.length === 1)
  return { client, synced: () => client.answer(id) }
}

describe("a sync of which some topics are served, and others have to be attached first", () => {
  it("keeps those that are served, though their grace period ends meanwhile", async () => {
    const { client, synced } = await halfServed("ann", "team:grace", "team:grace2")
    for (const topic of topicsHeld()) topic.idleSince -= runtime().settings.detachGraceMs
    runtime().topics.sweep(performance.now())
    harness.owners.release()
    await synced()
    await hears(client, "team:grace")
    await hears(client, "team:grace2")
  })

  it("has those that are served attached again with all others, where their owner lost the interest (†9)", async () => {
    const { client, synced } = await halfServed("bob", "team:again", "team:again2")
    for (const edge of harness.owners.subscribers.keys()) harness.owners.interest.removeEdge(edge)
    for (let shard = 1; shard <= 4; shard++) runtime().interest.attachAgain(shard)
    harness.owners.release()
    await synced()
    await hears(client, "team:again")
    await hears(client, "team:again2")
  })
})

describe("a sync whose owner has not answered", () => {
  it("keeps what is of the moment from who waits for his word, and gives it after (†7)", async () => {
    harness.owners.channel("team:typed", ["cid"])
    harness.owners.holds = ({ _tag }) => _tag === "Sync"
    const cid = await harness.hello("cid")
    const id = cid.post("sync", everything)
    await until(() => harness.owners.held.length === 1)
    const read = { ev: "receipt", channel: "team:typed", user: "x", delivered: 1, read: 1 }
    harness.owners.publish({
      _tag: "Ephemeral",
      topic: channelTopic("team:typed"),
      frame: JSON.stringify(read),
      exceptUser: "",
      exceptConnection: 0
    })
    harness.owners.links.flush()
    await cid.request("ping")
    const receipts = () => cid.frames.filter((frame) => frame["ev"] === "receipt")
    expect(receipts()).toEqual([])
    harness.owners.release()
    await cid.answer(id)
    await hears(cid, "team:typed")
    expect(receipts()).toEqual([read])
    const at = (match: (frame: Frame) => boolean) => cid.frames.findIndex(match)
    expect(at((frame) => frame["ev"] === "receipt")).toBeGreaterThan(at((frame) => frame["re"] === id))
  })
})

describe("a topic with a hole that nobody was there to be shown", () => {
  it("is joined behind all that came, though the hole is above the head that the attach names", async () => {
    harness.owners.channel("team:deep", ["dan"])
    await leave("dan", await harness.join("dan"))
    const covered = (from: number, to: number) =>
      runtime().topics.take({ _tag: "Covered", topic: channelTopic("team:deep"), from, to })
    covered(2, 3)
    harness.owners.holds = ({ _tag }) => _tag === "Attach"
    const dan = await harness.hello("dan")
    const id = dan.post("sync", everything)
    await until(() => harness.owners.held.length === 1)
    // The head is named by now; of what comes meanwhile the link loses some.
    harness.owners.lose = ({ items }) => items.length > 0
    while (say("team:deep") < 6);
    harness.owners.links.flush()
    harness.owners.lose = () => false
    covered(5, 6)
    harness.owners.release()
    await dan.answer(id)
    harness.owners.heartbeat()
    await hears(dan, "team:deep")
  })
})

describe("a join that was settled", () => {
  it("outlives another sync of the same connection that fails", async () => {
    harness.owners.channel("team:two", ["eva"])
    const eva = await harness.join("eva")
    const { topics } = runtime()
    const [topic, connection] = [topicOf("team:two"), connectionOf("eva")]
    topics.remove(topic, connection)
    // One sync begins, a push `channel` ends what it began, at a head that the link has yet to reach; the sync fails.
    topics.beginJoin(topic, connection)
    topics.endJoin(topic, connection, 2)
    topics.abortJoin(topic, connection)
    say("team:two")
    await hears(eva, "team:two")
    expect(eva.events("team:two")).toEqual([3])
  })
})

describe("an own event whose ack overtakes the channel itself", () => {
  it("follows the push that brings the channel", async () => {
    const channel = "team:hasty"
    const mia = await harness.join("mia")
    harness.owners.holds = (asked) => asked._tag === "Sync" && asked.user === "mia"
    harness.owners.channel(channel, ["mia"])
    harness.owners.personal("mia", "added", { channel, seq: 1 })
    await until(() => harness.owners.held.length === 1)
    expect(await mia.request("send", { channel, cid: clientId(), text: "hi" })).toMatchObject({ ok: { seq: 2 } })
    harness.owners.release()
    await hears(mia, channel)
    expect(told(mia, channel)).toEqual(["sync 1", "message 2", "message 3"])
  })
})

describe("a removal while a join is on its way", () => {
  it("follows the sync that does not know of it yet, and is the last that comes", async () => {
    harness.owners.channel("team:gone", ["fay", "gus"])
    const gus = await harness.join("gus")
    harness.owners.holds = (asked) => asked._tag === "Sync" && asked.user === "fay"
    const fay = await harness.hello("fay")
    const id = fay.post("sync", everything)
    await until(() => harness.owners.held.length === 1)
    say("team:gone")
    harness.owners.remove("team:gone", "fay")
    await hears(gus, "team:gone")
    harness.owners.release()
    await fay.answer(id)
    await hears(gus, "team:gone")
    await fay.request("ping")
    expect(told(fay, "team:gone")).toEqual(["sync 1", "message 2", "removed 3"])
  })

  it.each(["before the sync's answer", "after the sync's answer"])(
    "does not end a stay that began after it, where the link brings it %s",
    async (when) => {
      const channel = `team:${when.startsWith("before") ? "before" : "after"}`
      harness.owners.channel(channel, ["hal"])
      const hal = await harness.hello("hal")
      harness.owners.holds = (asked) => asked._tag === "Sync"
      harness.owners.intercept = (asked) => {
        if (asked._tag !== "Sync" || harness.owners.channel(channel).seq > 1) return undefined
        // Out and in again before the owner looks.
        harness.owners.lose = ({ items }) => items.length > 0 && when.startsWith("after")
        harness.owners.remove(channel, "hal")
        const seq = harness.owners.append(channel, "added", "system", { members: ["hal"], cid: "" })
        harness.owners.channel(channel).members.set("hal", seq)
        harness.owners.session("hal").channels.add(channel)
        harness.owners.links.flush()
        harness.owners.lose = () => false
        return undefined
      }
      const id = hal.post("sync", everything)
      await until(() => harness.owners.held.length > 0)
      harness.owners.intercept = () => undefined
      harness.owners.release()
      await hal.answer(id)
      harness.owners.heartbeat()
      await hears(hal, channel)
      expect(told(hal, channel)).toEqual(["sync 3", "message 4"])
    }
  )

  it("is overcome by being added again, though the removal comes in between", async () => {
    harness.owners.channel("team:twice", ["ida", "joe"])
    const ida = await harness.join("ida")
    await harness.join("joe")
    // The channel's link is behind: what comes of the session overtakes it.
    const [topic, state] = [topicOf("team:twice"), harness.owners.channel("team:twice")]
    const arrive = late(topic)
    harness.owners.remove("team:twice", "ida")
    harness.owners.holds = (asked) => asked._tag === "Sync" && asked.user === "ida"
    state.members.set("ida", harness.owners.append("team:twice", "added", "system", { members: ["ida"], cid: "" }))
    harness.owners.session("ida").channels.add("team:twice")
    harness.owners.personal("ida", "added", { channel: "team:twice", seq: 3 })
    await until(() => harness.owners.held.length === 1)
    arrive()
    expect(topic.has(connectionOf("ida"))).toBe(false)
    harness.owners.release()
    await until(() => told(ida, "team:twice").includes("sync 3"))
    await hears(ida, "team:twice")
  })

  it("is waited for where the channel's owner knows neither of it nor of the stay that follows, as his session does", async () => {
    const channel = "team:rejoined"
    harness.owners.channel(channel, ["ned", "oda"])
    const ned = await harness.join("ned")
    await harness.join("oda")
    const state = harness.owners.channel(channel)
    const asked = () => harness.owners.requests.filter((it) => it._tag === "Sync" && it.user === "ned").length
    const before = asked()
    harness.owners.personal("ned", "added", { channel, seq: 3 })
    await until(() => asked() > before)
    await ned.request("ping")
    expect(told(ned, channel)).toEqual(["sync 1"])
    harness.owners.remove(channel, "ned")
    state.members.set("ned", harness.owners.append(channel, "added", "system", { members: ["ned"], cid: "" }))
    harness.owners.session("ned").channels.add(channel)
    harness.owners.links.flush()
    await until(() => told(ned, channel).includes("sync 3"))
    await hears(ned, channel)
    expect(told(ned, channel)).toEqual(["sync 1", "removed 2", "sync 3", "message 4"])
  })

  it("is not one of who was shown a later head by a push", async () => {
    harness.owners.channel("team:late", ["kim", "lea"])
    const kim = await harness.join("kim")
    await harness.join("lea")
    const [topic, state] = [topicOf("team:late"), harness.owners.channel("team:late")]
    const arrive = late(topic)
    harness.owners.remove("team:late", "kim")
    state.members.set("kim", harness.owners.append("team:late", "added", "system", { members: ["kim"], cid: "" }))
    harness.owners.session("kim").channels.add("team:late")
    harness.owners.personal("kim", "added", { channel: "team:late", seq: 3 })
    await until(() => told(kim, "team:late").includes("sync 3"))
    arrive()
    await hears(kim, "team:late")
    expect(told(kim, "team:late")).toEqual(["sync 1", "sync 3", "message 4"])
  })

  it("is none of who was on the topic all the time, and has synced past it since", async () => {
    const channel = "team:stayed"
    harness.owners.channel(channel, ["pat", "quin"])
    const pat = await harness.join("pat")
    await harness.join("quin")
    const [topic, state] = [topicOf(channel), harness.owners.channel(channel)]
    const arrive = late(topic)
    harness.owners.remove(channel, "pat")
    state.members.set("pat", harness.owners.append(channel, "added", "system", { members: ["pat"], cid: "" }))
    harness.owners.session("pat").channels.add(channel)
    harness.owners.links.flush()
    await pat.request("sync", { channels: [[channel, 1, 1]], session: { generation: 0, seq: 0 } })
    arrive()
    expect(topic.has(connectionOf("pat"))).toBe(true)
    await hears(pat, channel)
    expect(told(pat, channel)).toEqual(["sync 1", "sync 3", "message 4"])
  })

  it("is followed by the stay that began after it, though his session said so before and nobody says it again", async () => {
    const channel = "team:early"
    harness.owners.channel(channel, ["vic", "wim"])
    const vic = await harness.join("vic")
    await harness.join("wim")
    harness.owners.remove(channel, "vic")
    const added = harness.owners.append(channel, "added", "system", { members: ["vic"], cid: "" })
    harness.owners.channel(channel).members.set("vic", added)
    harness.owners.session("vic").channels.add(channel)
    await until(() => told(vic, channel).includes("sync 3"))
    await hears(vic, channel)
    expect(told(vic, channel)).toEqual(["sync 1", "removed 2", "sync 3", "message 4"])
  })

  it("does not end a watch, which goes on where he is joined again", async () => {
    const channel = "team:hall"
    harness.owners.channel(channel, ["ria", "sol"]).readFanout = true
    const ria = await harness.join("ria")
    await harness.join("sol")
    await ria.request("watch", { channel })
    await hears(ria, channel)
    harness.owners.remove(channel, "ria")
    const added = harness.owners.append(channel, "added", "system", { members: ["ria"], cid: "" })
    harness.owners.channel(channel).members.set("ria", added)
    harness.owners.session("ria").channels.add(channel)
    harness.owners.personal("ria", "added", { channel, seq: added })
    await until(() => told(ria, channel).includes(`sync ${added}`))
    await hears(ria, channel)
  })
})

describe("the answer to a repair that comes when all of it is behind the topic", () => {
  it("says nothing to who joined since", async () => {
    const channel = "team:stale"
    harness.owners.channel(channel, ["tom", "una"])
    const tom = await harness.join("tom")
    harness.owners.lose = ({ items }) => items.length > 0
    say(channel)
    say(channel)
    harness.owners.links.flush()
    harness.owners.lose = () => false
    harness.owners.holds = (asked) => asked._tag === "Sync" && asked.user === "tom"
    runtime().topics.take({ _tag: "Covered", topic: channelTopic(channel), from: 2, to: 3 })
    await until(() => harness.owners.held.length === 1)
    await leave("tom", tom)
    // As an attach does, when nobody is there.
    topicOf(channel).sequence.pass(3)
    const una = await harness.join("una")
    harness.owners.release()
    await hears(una, channel)
    expect(una.frames.filter((frame) => frame["ev"] === "covered")).toEqual([])
    expect(told(una, channel)).toEqual(["sync 3", "message 4"])
  })
})
