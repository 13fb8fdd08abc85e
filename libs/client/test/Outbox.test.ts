import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { memoryStorage, webStorage } from "../src/ClientStorage.ts"
import { fileStorage } from "../src/FileStorage.ts"
import { MutationFailed } from "../src/OutboxEntry.ts"
import type { ChatClient } from "../src/ChatClient.ts"
import { startOfTime } from "./VirtualTime.ts"
import { World } from "./World.ts"

const group = "group:a"

const worldWith = (seed = 1) => {
  const world = new World(seed)
  const channel = world.server.make(group, ["ana", "ben"])
  return { world, channel, said: () => world.server.messages(channel).map(({ text }) => text) }
}

const states = (client: ChatClient) =>
  client
    .channel(group)
    .snapshot()
    .messages.map(({ state, text }) => `${text}: ${state}`)
const sends = (world: World) => world.server.received.filter(({ op }) => op === "send")

const failureOf = (done: Promise<unknown>): Promise<MutationFailed> =>
  done.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: unknown) => (error instanceof MutationFailed ? error : Promise.reject(error))
  )

describe("Outbox", () => {
  it("shows a message at once, and acknowledged under the same key", async () => {
    const { world } = worldWith()
    const client = await world.online(world.client())
    const { cid, done } = client.channel(group).send("hello")
    expect(client.channel(group).snapshot().messages).toMatchObject([
      { key: cid, seq: null, text: "hello", state: "sending", by: "ana" }
    ])
    await world.time.pass(100)
    await expect(done).resolves.toMatchObject({ channel: group, seq: 2 })
    expect(client.channel(group).snapshot().messages).toMatchObject([{ key: cid, seq: 2, state: "sent" }])
  })

  it("keeps what is unsent over a reload, and sends it once and in order", async () => {
    const { said, world } = worldWith()
    const storage = memoryStorage()
    const first = await world.online(world.client({ storage }))
    world.down = true
    world.socket.cut()
    await world.time.pass(10)
    for (const text of ["one", "two", "three"]) first.channel(group).send(text)
    await world.time.pass(1_000)
    // Not closed: the page is simply gone.
    const second = world.client({ storage })
    void second.start()
    await world.time.pass(10)
    // Before there is a connection: in the name of who wrote them.
    expect(
      second
        .channel(group)
        .snapshot()
        .messages.map(({ by, text }) => [by, text])
    ).toEqual(["one", "two", "three"].map((text) => [first.user, text]))
    world.down = false
    await world.online(second)
    expect(states(second).length).toBe(3)
    await world.time.until("all sent", () => said().length >= 3)
    await world.time.pass(10_000)
    expect(said()).toEqual(["one", "two", "three"])
    expect(await storage.read("outbox")).toBeUndefined()
  })

  it("EXACTLY-ONCE-EFFECT: a send whose ack was lost is sent again with the same id, and shows once", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client())
    world.server.faults.instead = (op) => (op === "send" ? "silent" : undefined)
    client.channel(group).send("once")
    await world.time.until("it is in", () => said().length === 1)
    world.server.faults = {}
    world.socket.cut()
    await world.time.until("shown as sent", () => states(client).join() === "once: sent")
    await world.time.pass(60_000)
    expect(said()).toEqual(["once"])
    expect(new Set(sends(world).map((frame) => frame["cid"])).size).toBe(1)
  })

  it("waits as long as the server says, with the same id, and stays at sending meanwhile", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client())
    let refusals = 3
    world.server.faults.refuse = (op) =>
      op === "send" && refusals-- > 0 ? { code: "log_full", retry_after_ms: 2_000 } : undefined
    client.channel(group).send("patient")
    await world.time.pass(1_900)
    expect(sends(world).length).toBe(1)
    expect(states(client)).toEqual(["patient: sending"])
    await world.time.until("sent", () => said().length === 1)
    expect(world.time.now).toBeGreaterThan(6_000)
    expect(new Set(sends(world).map((frame) => frame["cid"])).size).toBe(1)
  })

  it("keeps a channel's order while one message is refused again and again", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client())
    world.server.faults.refuse = (_, frame) =>
      frame["text"] === "one" && world.time.now < 8_000 ? { code: "moved", retry_after_ms: 300 } : undefined
    for (const text of ["one", "two", "three"]) client.channel(group).send(text)
    await world.time.until("all sent", () => said().length === 3)
    expect(said()).toEqual(["one", "two", "three"])
  })

  it("rests altogether when the user is rate limited, not channel by channel", async () => {
    const world = new World()
    const ids = Array.from({ length: 20 }, (_, at) => `group:c${at}`)
    for (const id of ids) world.server.make(id, ["ana"])
    const client = await world.online(world.client())
    world.server.faults.refuse = (op) =>
      op === "send" && world.time.now < 5_000 ? { code: "rate_limited", retry_after_ms: 1_000 } : undefined
    for (const id of ids) client.channel(id).send("x")
    await world.time.until("all sent", () =>
      ids.every((id) => client.channel(id).snapshot().messages[0]?.state === "sent")
    )
    // Sixteen were on their way when the first refusal came; after it a second passes between them.
    expect(sends(world).length).toBeLessThan(20 + 5 * 16)
  })

  it("fails a message for good where the server says so; it can be retried or discarded", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client())
    const view = client.channel(group)
    world.server.faults.refuse = (op) => (op === "send" ? { code: "forbidden", detail: "not now" } : undefined)
    const one = view.send("one")
    const two = view.send("two")
    const failure = failureOf(one.done)
    await world.time.until("both failed", () => states(client).join() === "one: failed,two: failed")
    expect(await failure).toMatchObject({ code: "forbidden", message: "not now" })
    world.server.faults = {}
    view.retry(one.cid)
    expect(view.discard(two.cid)).toBe(true)
    await world.time.until("sent", () => said().length === 1)
    await world.time.pass(1_000)
    expect(states(client)).toEqual(["one: sent"])
  })

  it("corrects its clock when an id is ahead, takes a new id, and sends it once", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client({ clockErrorMs: 3_600_000 }))
    let refused = 0
    world.server.faults.refuse = (op) =>
      op === "send" && refused++ === 0
        ? { code: "id_ahead", server_time: startOfTime + world.time.now - 7_200_000 }
        : undefined
    client.channel(group).send("late")
    await world.time.until("sent", () => said().length === 1)
    await world.time.pass(1_000)
    const ids = sends(world).map((frame) => String(frame["cid"]))
    expect(ids.length).toBe(2)
    // By the server's word the clock is two hours back.
    expect(ids[1]! < ids[0]!).toBe(true)
    expect(states(client)).toEqual(["late: sent"])
  })

  it("has the new id in storage before it is sent", async () => {
    const { world } = worldWith()
    const storage = memoryStorage()
    const written: Array<string> = []
    const slow = {
      read: storage.read,
      write: async (key: string, text: string | undefined) => {
        await new Promise<void>((resolve) => void world.time.after(500, resolve))
        written.push(text ?? "")
        await storage.write(key, text)
      }
    }
    const client = await world.online(world.client({ storage: slow }))
    let refused = 0
    world.server.faults.refuse = (op) =>
      op === "send" && refused++ === 0 ? { code: "id_ahead", server_time: startOfTime } : undefined
    client.channel(group).send("x")
    await world.time.until("sent again", () => sends(world).length === 2)
    expect(written.some((text) => text.includes(String(sends(world)[1]!["cid"])))).toBe(true)
  })

  it("asks the person, not the server, about an id that is too old; a retry takes a new one", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client())
    world.server.faults.refuse = (op) => (op === "send" ? { code: "id_expired" } : undefined)
    const { cid } = client.channel(group).send("old")
    await world.time.until("failed", () => states(client).join() === "old: failed")
    expect(sends(world).length).toBe(1)
    world.server.faults = {}
    client.channel(group).retry(cid)
    await world.time.until("sent", () => said().length === 1)
    expect(sends(world)[1]!["cid"]).not.toBe(cid)
  })

  it("repeats once after an internal error, then shows it", async () => {
    const { world } = worldWith()
    const client = await world.online(world.client())
    world.server.faults.refuse = (op) => (op === "send" ? { code: "internal" } : undefined)
    client.channel(group).send("x")
    await world.time.until("failed", () => states(client).join() === "x: failed")
    expect(sends(world).length).toBe(2)
  })

  it("does not send what the server would close the connection for", async () => {
    const { world } = worldWith()
    const client = await world.online(world.client())
    const failure = failureOf(client.channel(group).send("ж".repeat(9_000)).done)
    expect(await failure).toMatchObject({ code: "too_large" })
    await world.time.pass(1_000)
    expect(sends(world)).toEqual([])
    expect(client.status.state).toBe("online")
  })

  it("is bounded: past it a mutation is refused, and nothing that was taken is lost", async () => {
    const { said, world } = worldWith()
    const client = await world.online(world.client({ settings: { outboxEntriesMax: 3 } }))
    const sent = ["one", "two", "three", "four"].map((text) => client.channel(group).send(text))
    expect(await failureOf(sent[3]!.done)).toMatchObject({ code: "outbox_full" })
    await world.time.until("the others are sent", () => said().length === 3)
  })

  it("does not send in another user's name what was left in the same storage", async () => {
    const { said, world } = worldWith()
    const storage = memoryStorage()
    const ana = await world.online(world.client({ storage }))
    world.down = true
    world.socket.cut()
    await world.time.pass(10)
    ana.channel(group).send("by ana")
    await world.time.pass(1_000)
    world.down = false
    void ana.close()
    const ben = await world.online(world.client({ storage, token: "ben" }))
    await world.time.pass(10_000)
    expect(said()).toEqual([])
    expect(ben.channel(group).snapshot().messages).toEqual([])
  })

  it("keeps an acknowledged message on the screen while its place is beyond a hole", async () => {
    const { channel, world } = worldWith()
    const client = await world.online(world.client())
    world.server.faults.copies = (push) => (push.ev === "event" ? 0 : 1)
    world.server.say(channel, "ben", "lost on the way")
    client.channel(group).send("mine")
    await world.time.until("acknowledged", () => states(client).join() === "mine: sent")
    await world.time.until("repaired", () => states(client).length === 2)
    expect(states(client)).toEqual(["lost on the way: sent", "mine: sent"])
  })

  it("shows own edits and deletes before the server has them", async () => {
    const { world } = worldWith()
    const client = await world.online(world.client())
    const view = client.channel(group)
    view.send("first")
    await world.time.pass(100)
    view.edit(2, "second")
    expect(view.snapshot().messages).toMatchObject([{ text: "second", edited: true, state: "sending" }])
    await world.time.pass(100)
    expect(view.snapshot().messages).toMatchObject([{ text: "second", edited: true, state: "sent" }])
    view.delete(2)
    expect(view.snapshot().messages).toMatchObject([{ text: "", deleted: true, state: "sending" }])
    await world.time.pass(100)
    expect(view.snapshot().messages).toMatchObject([{ deleted: true, state: "sent" }])
  })

  it("reports storage that can't be written, and goes on", async () => {
    const { said, world } = worldWith()
    const storage = { read: async () => undefined, write: () => Promise.reject(new Error("full")) }
    const client = await world.online(world.client({ storage }))
    client.channel(group).send("x")
    await world.time.until("sent", () => said().length === 1)
    await world.time.until("reported", () => world.problems.length > 0)
  })
})

describe("ClientStorage", () => {
  it("coalesces: a hundred messages are a few writes", async () => {
    const { world } = worldWith()
    const storage = memoryStorage()
    let writes = 0
    const counting = {
      read: storage.read,
      write: (key: string, text: string | undefined) => {
        writes += 1
        return storage.write(key, text)
      }
    }
    const client = await world.online(world.client({ storage: counting }))
    const before = writes
    for (let at = 0; at < 100; at++) client.channel(group).send(`x${at}`)
    await world.time.pass(90)
    expect(writes - before).toBeLessThanOrEqual(1)
  })

  it("keeps text under a prefix in localStorage or what looks like it", async () => {
    const kept = new Map<string, string>()
    const storage = webStorage({
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, text) => void kept.set(key, text),
      removeItem: (key) => void kept.delete(key)
    })
    await storage.write("outbox", "x")
    expect([...kept]).toEqual([["parley.outbox", "x"]])
    expect(await storage.read("outbox")).toBe("x")
    await storage.write("outbox", undefined)
    expect(await storage.read("outbox")).toBeUndefined()
  })

  it("keeps text in files, replaced as a whole", async () => {
    const folder = await mkdtemp(join(tmpdir(), "parley-client-"))
    try {
      const storage = fileStorage(join(folder, "state"))
      expect(await storage.read("a/b")).toBeUndefined()
      await storage.write("a/b", "one")
      await storage.write("a/b", "two")
      expect(await fileStorage(join(folder, "state")).read("a/b")).toBe("two")
      expect(await readdir(join(folder, "state"))).toEqual(["a%2Fb.json"])
      await storage.write("a/b", undefined)
      await storage.write("a/b", undefined)
      expect(await storage.read("a/b")).toBeUndefined()
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
