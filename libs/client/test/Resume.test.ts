/**
 * The heart of the client, against a server that keeps the protocol and a line that keeps nothing: after any run of
 * cuts, lost and doubled pushes, refusals and unanswered mutations, what the client shows is what the server has.
 */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChatClient } from "../src/ChatClient.ts"
import type { PlainMessage } from "../src/PlainFrame.ts"
import { memoryStorage } from "../src/ClientStorage.ts"
import type { MiniChannel } from "./MiniServer.ts"
import { seededRandom } from "./VirtualTime.ts"
import { World } from "./World.ts"

const ids = ["group:a", "group:b", "group:c"]

type Step =
  | { readonly do: "say"; readonly channel: number; readonly mention: boolean }
  | { readonly do: "burst"; readonly channel: number; readonly count: number }
  | { readonly do: "edit" | "delete"; readonly channel: number; readonly pick: number }
  | { readonly do: "send" | "sendMany"; readonly channel: number }
  | { readonly do: "ownEdit" | "ownDelete"; readonly channel: number; readonly pick: number }
  | { readonly do: "read" | "markUnread"; readonly channel: number; readonly pick: number }
  | { readonly do: "others"; readonly channel: number; readonly pick: number }
  | { readonly do: "remove" | "add" | "older" | "rename"; readonly channel: number }
  | { readonly do: "cut" | "silence" | "down" | "reload" | "restore" }
  | { readonly do: "pass"; readonly ms: number }

const channel = fc.nat(ids.length - 1)
const pick = fc.nat(1_000)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("say" as const), channel, mention: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("burst" as const), channel, count: fc.integer({ min: 3, max: 60 }) })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("edit" as const, "delete" as const), channel, pick }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom("send" as const, "sendMany" as const), channel }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("ownEdit" as const, "ownDelete" as const), channel, pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("read" as const, "markUnread" as const), channel, pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("others" as const), channel, pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("remove" as const, "add" as const, "older" as const, "rename" as const),
      channel
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("cut" as const, "silence" as const, "down" as const, "reload" as const, "restore" as const)
    })
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 4_000 }) }) }
)

class Run {
  readonly world: World
  readonly storage = memoryStorage()
  readonly random: () => number
  client: ChatClient
  /** Texts in the order they were sent, by channel. */
  readonly sent = new Map<string, Array<string>>(ids.map((id) => [id, []]))

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.world = new World(seed)
    for (const id of ids) this.world.server.make(id, ["ana", "ben", "cleo"])
    this.client = this.#client()
    this.faulty()
  }

  #client(): ChatClient {
    return this.world.client({
      storage: this.storage,
      settings: { messagesHeldMax: 30, messagesIdleMax: 20, historyPageRows: 7 }
    })
  }

  faulty(): void {
    const { random } = this
    const retryable = ["rate_limited", "overloaded", "moved", "outcome_unknown", "unavailable", "log_full"] as const
    const any = () => ({ code: retryable[Math.floor(random() * retryable.length)]!, retry_after_ms: 50 })
    const quiet = new Set(["hello", "ping"])
    this.world.server.faults = {
      copies: ({ ev }) => (ev === "channel" ? 1 : random() < 0.1 ? 0 : random() < 0.1 ? 2 : 1),
      refuse: (op) => (!quiet.has(op) && random() < 0.1 ? any() : undefined),
      instead: (op) => (quiet.has(op) || random() > 0.1 ? undefined : random() < 0.5 ? "silent" : any()),
      countedBefore: () => (random() < 0.3 ? Math.floor(random() * 8) : 0),
      unavailable: () => random() < 0.1
    }
  }

  async step(step: Step): Promise<void> {
    const { client, world } = this
    const { server } = world
    const mini = "channel" in step ? server.channels.get(ids[step.channel]!)! : undefined
    const view = mini && client.channel(mini.id)
    switch (step.do) {
      case "say":
        server.say(mini!, "ben", `ben ${mini!.events.length}`, step.mention ? ["ana"] : [])
        return
      case "burst":
        for (let at = 0; at < step.count; at++) server.say(mini!, "cleo", `cleo ${mini!.events.length}`)
        return
      case "edit":
      case "delete":
        return this.#change(mini!, "ben", step.do, step.pick)
      case "ownEdit":
      case "ownDelete": {
        const mine = view!
          .snapshot()
          .messages.filter(({ by, seq, deleted }) => by === "ana" && seq !== null && !deleted)
        const seq = mine[step.pick % Math.max(1, mine.length)]?.seq
        if (typeof seq !== "number") return
        if (step.do === "ownEdit") view!.edit(seq, `edited ${this.random()}`)
        else view!.delete(seq)
        return
      }
      case "send":
      case "sendMany":
        for (let at = step.do === "send" ? 1 : 4; at > 0; at--) this.#send(mini!)
        return
      case "read":
        view!.read(Math.max(0, (view!.snapshot().position || 1) - (step.pick % 4)))
        return
      case "markUnread":
        if (mini!.members.has("ana")) view!.markUnread(Math.max(0, view!.snapshot().position - (step.pick % 6)))
        return
      case "others": {
        const user = step.pick % 2 === 0 ? "ben" : "cleo"
        const seq = mini!.events.length - (step.pick % 5)
        return server.progress(mini!, user, Math.max(seq, 0), step.pick % 3 === 0 ? Math.max(seq - 1, 0) : 0)
      }
      case "remove":
        if (mini!.members.has("ana")) server.remove(mini!, "ana", "ben")
        return
      case "add":
        if (!mini!.members.has("ana")) server.add(mini!, "ana", "ben")
        return
      case "older":
        view!.loadOlder().catch(() => {})
        return
      case "rename":
        mini!.name = `name ${mini!.events.length}`
        server.append(mini!, { kind: "updated", by: "ben", cid: "x", name: mini!.name }, undefined)
        return
      case "cut":
        return world.sockets.at(-1)?.cut()
      case "silence":
        return world.sockets.at(-1)?.silence()
      case "down":
        world.down = !world.down
        return
      case "reload":
        return this.#reload()
      case "restore":
        return this.#restore()
      case "pass":
        return world.time.pass(step.ms)
    }
  }

  #send(mini: MiniChannel): void {
    // A removed sender's messages are refused, rightly: what is counted here was sent by a member.
    if (!mini.members.has("ana")) return
    const text = `ana ${this.sent.get(mini.id)!.length}`
    this.sent.get(mini.id)!.push(text)
    this.client.channel(mini.id).send(text)
  }

  #change(mini: MiniChannel, by: string, kind: "edit" | "delete", pick: number): void {
    const alive = this.world.server
      .messages(mini)
      .filter((message) => message.deleted === undefined && message.by === by)
    const target = alive[pick % Math.max(1, alive.length)]
    if (target === undefined) return
    const mentions = pick % 2 === 0 ? {} : { mentions: ["ana"] }
    const body = kind === "edit" ? { kind, text: `edited ${mini.events.length}`, ...mentions } : { kind }
    this.world.server.append(mini, { ...body, by, cid: "x", target: target.seq }, undefined)
  }

  /** The page is closed and opened again: only storage is left. */
  async #reload(): Promise<void> {
    void this.client.close()
    await this.world.time.pass(1)
    this.client = this.#client()
    await this.client.start()
  }

  /** The log lost its newest events: another generation, and everybody is sent away. */
  #restore(): void {
    const mini = this.world.server.channels.get(ids[0]!)!
    mini.generation += 1
    for (const socket of this.world.sockets) socket.cut()
  }

  async heal(): Promise<void> {
    const { server, time } = this.world
    server.faults = {}
    this.world.down = false
    // A push that was lost is in the next head.
    for (const socket of this.world.sockets) socket.cut()
    for (const id of ids)
      if (!server.channels.get(id)!.members.has("ana")) server.add(server.channels.get(id)!, "ana", "ben")
    await time.pass(60_000)
    server.heartbeatHeads()
    await time.pass(60_000)
    const idle = () =>
      this.client.status.state === "online" &&
      ids.every((id) =>
        this.client
          .channel(id)
          .snapshot()
          .messages.every(({ state }) => state !== "sending")
      )
    await time.until("everything is sent", idle)
    await time.pass(30_000)
  }
}

const shape = ({
  seq,
  by,
  text,
  deleted,
  edited
}: {
  seq: number | null
  by: string
  text: string
  deleted?: unknown
  edited?: unknown
}) => ({
  seq,
  by,
  text,
  deleted: Boolean(deleted),
  edited: Boolean(edited) && !deleted
})

const expectSame = async ({ client, sent, world }: Run): Promise<void> => {
  for (const id of ids) {
    const mini = world.server.channels.get(id)!
    const view = client.channel(id)
    const since = (mini.members.get("ana") ?? 1) - 1
    const all: ReadonlyArray<PlainMessage> = world.server.messages(mini).filter(({ seq }) => seq > since)
    const here = view.snapshot()
    expect(here.status).toBe("member")
    expect(here.position).toBe(mini.events.length)
    expect(here.name).toBe(mini.name)
    expect(here.members).toBe(mini.members.size)
    const { cursor, mentions, unread } = world.server.readState(mini, "ana")
    expect({ channel: id, unread: here.unread, mentions: here.mentions, cursor: here.cursor }).toEqual({
      channel: id,
      unread,
      mentions,
      cursor: cursor.seq
    })
    const others = [...mini.receipts.values()].filter(({ user }) => user !== "ana")
    expect(here.receipts).toEqual(others.toSorted((a, b) => (a.user < b.user ? -1 : 1)))
    const settled = here.messages.filter(({ state }) => state !== "failed")
    expect(settled.map(shape)).toEqual(all.slice(all.length - settled.length).map(shape))
    for (let more = here.more; more;) {
      const loaded = view.loadOlder()
      await world.time.pass(100)
      more = await loaded
    }
    const whole = view.snapshot().messages.filter(({ state }) => state !== "failed")
    expect(whole.map(shape)).toEqual(all.map(shape))
    // EXACTLY-ONCE-EFFECT, and in order.
    const texts = sent.get(id)!
    const effects = mini.events.flatMap((event) => (event.kind === "message" && event.by === "ana" ? [event.text] : []))
    expect(new Set(effects).size).toBe(effects.length)
    const places = effects.map((text) => texts.indexOf(text))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    // None vanished: what has no effect says so on the screen.
    const failed = view
      .snapshot()
      .messages.filter(({ state }) => state === "failed")
      .map(({ text }) => text)
    expect([...effects, ...failed].toSorted()).toEqual(texts.toSorted())
  }
}

describe("resume", () => {
  it("ends with the server's list, whatever was cut, lost, doubled, refused or left unanswered", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(step, { minLength: 5, maxLength: 60 }), async (seed, steps) => {
        const run = new Run(seed)
        await run.client.start()
        await run.world.time.pass(200)
        for (const one of steps) await run.step(one)
        await run.heal()
        await expectSame(run)
        await run.client.close()
      }),
      { numRuns: Number(process.env["PARLEY_RESUME_RUNS"] ?? 200) }
    )
  })
})
