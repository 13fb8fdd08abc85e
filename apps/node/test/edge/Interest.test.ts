/** What an edge attaches, in which batches, and when it does so again. */
import { describe, expect, it } from "@effect/vitest"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Attach, Attached, Detach, OwnerReply } from "@parley/actors/owner/OwnerProtocol"
import { type AttachedTopic, attachTopicsMax, Interest, unlistedMsMax } from "../../src/edge/Interest.ts"

class Owner {
  readonly attaches: Array<Attach> = []
  readonly detaches: Array<Detach> = []
  readonly attached: Array<AttachedTopic> = []
  readonly held = new Map<string, ReadonlyArray<string>>()
  /** Topics that the owner can't look at now. */
  readonly unsaid = new Set<string>()
  readonly moved: Array<number> = []
  epoch = 1
  version = 0
  #replies: Array<() => void> = []

  readonly interest = new Interest({
    edge: "e",
    calls: OwnerCalls.of({
      shardCount: 1,
      shardOf: () => 1,
      request: () => {},
      attach: (attach, reply) => {
        this.attaches.push(attach)
        this.#replies.push(() => reply(this.answer(attach)))
      },
      detach: (detach) => {
        this.version++
        this.detaches.push(detach)
      },
      resend: () => {},
      onServed: () => () => {}
    }),
    onAttached: (answer) => this.attached.push(answer),
    onMoved: (shard) => this.moved.push(shard),
    topicsOf: () => [...this.held].map(([topic, users]) => ({ topic, users }))
  })

  answer({ shard, topics }: Attach): OwnerReply<Attached> {
    return {
      ok: {
        shard,
        epoch: this.epoch,
        interestVersion: ++this.version,
        topics: topics
          .filter(({ topic }) => !this.unsaid.has(topic))
          .map(({ topic, users }) => ({
            topic,
            head: 1,
            generation: 1,
            denied: users.filter((u) => u === "evil")
          }))
      }
    }
  }

  /** Lets batches go out and be answered until nothing is on its way. */
  async settle(): Promise<void> {
    await Promise.resolve()
    while (this.#replies.length > 0) {
      this.#replies.shift()?.()
      await Promise.resolve()
    }
  }

  answerNext(): void {
    this.#replies.shift()?.()
  }

  digest(interestVersion = this.version): void {
    this.interest.digest("o/1", [{ shard: 1, epoch: this.epoch, interestVersion }])
  }
}

const want = (owner: Owner, topic: string, user: string) =>
  new Promise((resolve) => owner.interest.want(1, topic, user, resolve))

describe("interest", () => {
  it("gathers wishes into one batch, and names every user also for a topic it holds (†7)", async () => {
    const owner = new Owner()
    const results = [want(owner, "c/a", "ann"), want(owner, "c/a", "evil"), want(owner, "c/b", "ann")]
    await owner.settle()
    expect(owner.attaches.map((a) => a.topics)).toEqual([
      [
        { topic: "c/a", users: ["ann", "evil"] },
        { topic: "c/b", users: ["ann"] }
      ]
    ])
    expect(await Promise.all(results)).toMatchObject([{ denied: false }, { denied: true }, { denied: false }])
    void want(owner, "c/a", "bob")
    await owner.settle()
    expect(owner.attaches[1]?.topics).toEqual([{ topic: "c/a", users: ["bob"] }])
  })

  it("keeps batches bounded, one in flight", async () => {
    const owner = new Owner()
    for (let i = 0; i < attachTopicsMax + 1; i++) void want(owner, `c/${i}`, "ann")
    await Promise.resolve()
    expect(owner.attaches.map((a) => a.topics.length)).toEqual([attachTopicsMax])
    await owner.settle()
    expect(owner.attaches.map((a) => a.topics.length)).toEqual([attachTopicsMax, 1])
  })

  it("takes an owner that can't say now for no denial: who waits is told, what was held is asked for again (†7)", async () => {
    const owner = new Owner()
    owner.held.set("c/a", ["ann"])
    owner.unsaid.add("c/a")
    const waiting = want(owner, "c/a", "bob")
    owner.interest.attachAgain(1)
    await owner.settle()
    expect(await waiting).toEqual({ failure: { code: "unavailable" } })
    expect(owner.attached).toEqual([])
    owner.unsaid.clear()
    while (owner.attaches.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
    await owner.settle()
    expect(owner.attached).toMatchObject([{ topic: "c/a", granted: true, again: true, denied: [] }])
  })

  it("attaches everything again when a digest keeps differing, not at the first time (†9)", async () => {
    const owner = new Owner()
    void want(owner, "c/a", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.digest()
    owner.digest(owner.version - 1)
    await owner.settle()
    expect(owner.attaches.length).toBe(1)
    owner.digest(owner.version - 1)
    await owner.settle()
    expect(owner.attaches.length).toBe(2)
    expect(owner.attached.at(-1)).toMatchObject({ topic: "c/a", again: true, granted: true })
  })

  it("attaches everything again at once when the shard has another epoch (†9)", async () => {
    const owner = new Owner()
    void want(owner, "c/a", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.epoch = 2
    owner.digest()
    await owner.settle()
    expect(owner.attaches.length).toBe(2)
    expect(owner.moved).toEqual([1])
  })

  it("attaches everything again when another owner says that it serves the shard, once (†9)", async () => {
    const owner = new Owner()
    owner.interest.served(1, 1)
    void want(owner, "c/a", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.interest.served(1, 1)
    await owner.settle()
    expect(owner.attaches.length).toBe(1)
    owner.epoch = 2
    owner.interest.served(1, 2)
    owner.digest(0)
    await owner.settle()
    // A message from before the move that was long on its way.
    owner.interest.served(1, 1)
    owner.digest()
    await owner.settle()
    expect(owner.attaches.length).toBe(2)
    expect(owner.attached.at(-1)).toMatchObject({ topic: "c/a", again: true, granted: true })
    expect(owner.moved).toEqual([1])
  })

  it("attaches everything again when the owner no longer lists the shard, or nobody does (†9)", async () => {
    const owner = new Owner()
    void want(owner, "c/a", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.digest()
    owner.interest.digest("o/1", [])
    owner.interest.digest("o/1", [])
    await owner.settle()
    expect(owner.attaches.length).toBe(2)
    owner.interest.sweep(performance.now() + unlistedMsMax + 1)
    await owner.settle()
    expect(owner.attaches.length).toBe(3)
  })

  it("attaches again what was asked for before, and joined after, everything was attached again (†9)", async () => {
    const owner = new Owner()
    void want(owner, "c/a", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.interest.want(1, "c/b", "bob", () => owner.held.set("c/b", ["bob"]))
    await Promise.resolve()
    // The shard moves while the old owner's answer is on its way.
    owner.interest.digest("o/2", [{ shard: 1, epoch: 2, interestVersion: 0 }])
    owner.answerNext()
    owner.epoch = 2
    await owner.settle()
    expect(owner.attaches.slice(2).flatMap(({ topics }) => topics.map(({ topic }) => topic))).toEqual(["c/a", "c/b"])
    for (let beat = 0; beat < 4; beat++) owner.digest()
    await owner.settle()
    expect(owner.attaches.length).toBe(3)
  })

  it("counts its own detaches, so that they do not look like lost interest", async () => {
    const owner = new Owner()
    void want(owner, "c/a", "ann")
    void want(owner, "c/b", "ann")
    owner.held.set("c/a", ["ann"])
    await owner.settle()
    owner.interest.unwant(1, "c/b")
    await owner.settle()
    expect(owner.detaches.map((d) => d.topics)).toEqual([["c/b"]])
    for (let i = 0; i < 4; i++) owner.digest()
    await owner.settle()
    expect(owner.attaches.length).toBe(1)
  })
})
