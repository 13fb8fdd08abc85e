/**
 * People at work with the project's own client: a few users, one of them with two devices, in a few channels, over a
 * line that breaks. Each does at random what people do; what was promised to them (`done`) is written down.
 */
import { setTimeout as delay } from "node:timers/promises"
import { ChatClient } from "@parley/client/ChatClient"
import type { Sent } from "@parley/client/Outbox"
import { MutationFailed } from "@parley/client/OutboxEntry"
import type { Random } from "../harness/Random.ts"
import { developmentToken } from "../wire/Tokens.ts"
import { hurriedEnvironment } from "./HurriedEnvironment.ts"

/** Makes every channel, and is never out of one: what he reads at the end is all there is. */
export const owner = "ana"
export const members = [owner, "ben", "cleo"]
export const channels = ["group:red", "group:blue", "public:lobby"]
const devices = ["ana-1", "ana-2", "ben-1", "cleo-1"]

/** How many times as fast as in life their waits are. */
const hurry = 8
/** Between two things that one device does. */
const pauseMsMin = 10
const pauseMsMax = 70

export interface Promised {
  readonly device: string
  readonly channel: string
  readonly cid: string
  /** Undefined: not known yet. */
  seq?: number
  failed?: string
}

export interface TeamDevice {
  readonly user: string
  readonly name: string
  readonly client: ChatClient
}

export const clientOf = (user: string, device: string, url: string, random: Random): ChatClient =>
  new ChatClient({
    url,
    device,
    token: () => developmentToken(url, user),
    environment: hurriedEnvironment(random, hurry)
  })

const weights = {
  send: 50,
  edit: 7,
  delete: 4,
  read: 14,
  markUnread: 4,
  older: 4,
  typing: 4,
  lobby: 3,
  member: 2,
  rename: 2
} as const

export class Team {
  readonly devices: ReadonlyArray<TeamDevice>
  readonly sends: Array<Promised> = []
  readonly #random: Random
  #working = true
  #lanes: ReadonlyArray<Promise<void>> = []
  #texts = 0

  constructor(url: string, random: Random) {
    this.#random = random
    this.devices = devices.map((name) => {
      const user = name.slice(0, name.indexOf("-"))
      return { user, name, client: clientOf(user, name, url, random) }
    })
  }

  /** Everybody connected, in every channel. */
  async prepare(): Promise<void> {
    for (const { client } of this.devices) await client.start()
    await Promise.all(this.devices.map(({ client }) => client.ready()))
    const [first] = this.devices
    for (const channel of channels) {
      await first?.client.create(channel, { name: channel, members: members.filter((user) => user !== owner) }).done
    }
  }

  begin(): void {
    this.#lanes = this.devices.map((device) => this.#live(device))
  }

  /** Nobody begins anything any more. */
  async rest(): Promise<void> {
    this.#working = false
    await Promise.all(this.#lanes)
  }

  async close(): Promise<void> {
    this.#working = false
    await Promise.all(this.devices.map(({ client }) => client.close()))
  }

  async #live(device: TeamDevice): Promise<void> {
    while (this.#working) {
      this.#step(device)
      await delay(this.#random.between(pauseMsMin, pauseMsMax))
    }
  }

  #step({ client, name, user }: TeamDevice): void {
    const channel = this.#random.pick(channels) ?? owner
    const view = client.channel(channel)
    const { messages, position, status } = view.snapshot()
    const mine = this.#random.pick(
      messages.filter(({ by, deleted, state }) => by === user && !deleted && state === "sent")
    )
    switch (this.#random.weighted(weights)) {
      case "send": {
        if (status !== "member") return
        const mentions = this.#random.next() < 0.2 ? members.filter((member) => member !== user).slice(0, 1) : []
        return this.#promise(name, channel, view.send(`${name} says ${this.#texts++}`, { mentions }))
      }
      case "edit":
        if (mine?.seq !== undefined && mine.seq !== null) view.edit(mine.seq, `${name} edits ${this.#texts++}`)
        return
      case "delete":
        if (mine?.seq !== undefined && mine.seq !== null) view.delete(mine.seq)
        return
      case "read":
        return view.read()
      case "markUnread":
        if (status === "member") view.markUnread(Math.max(0, position - this.#random.between(0, 8)))
        return
      case "older":
        view.loadOlder().catch(() => {})
        return
      case "typing":
        return view.typing()
      case "lobby":
        // Out of the lobby and back in.
        if (user === owner) return
        if (client.channel("public:lobby").snapshot().status === "member") client.leave("public:lobby")
        else client.join("public:lobby")
        return
      case "member":
        if (user !== owner) return
        if (this.#random.next() < 0.3) client.removeMembers("group:blue", ["cleo"])
        else client.addMembers("group:blue", ["cleo"])
        return
      case "rename":
        if (user === owner) view.update({ name: `${channel} ${this.#texts++}` })
        return
    }
  }

  #promise(device: string, channel: string, { cid, done }: Sent): void {
    const promised: Promised = { device, channel, cid }
    this.sends.push(promised)
    done.then(
      ({ seq }) => {
        promised.seq = seq
      },
      (error: unknown) => {
        promised.failed = error instanceof MutationFailed ? error.code : String(error)
      }
    )
  }
}
