/**
 * A team at work, from a seed: a few users with one or two devices each, in a few channels. They send, edit, delete and
 * read, and do on purpose what networks do by accident: send the same again over another connection, after the ack, or
 * twice at once; drop connections; remove each other and come back. Bounded in mutations; ends when told to.
 */
import { setTimeout as delay } from "node:timers/promises"
import { Limits } from "@parley/protocol/Limits"
import { type Mutation, Recorder } from "../checker/History.ts"
import { newClientId } from "../wire/ClientIds.ts"
import { Device } from "../wire/Device.ts"
import type { Random } from "./Random.ts"

const users = ["ana", "ben", "cleo", "dan"]
const devices = ["ana-1", "ana-2", "ben-1", "ben-2", "cleo-1", "dan-1"]
const channels = ["group:red", "group:blue", "public:lobby"]

/** Steps that one device has under way at a time. */
const lanes = 4
/** Tries of one mutation before it is given up as unknown. */
const triesMax = 400
/** A try that began before the end is waited for a little longer. */
const answerMsMax = 2_000
/** Times its pause that a lane of a lasting load waits at most. */
const thinningMax = 100
/** Acknowledged mutations that may be sent again on purpose. */
const rememberedMax = 256

export interface WorkloadOptions {
  readonly random: Random
  readonly url: () => string | undefined
  /** Mutations of the whole run. */
  readonly mutationsMax: number
  /** Of each step, in ms: how fast one lane goes. */
  readonly pauseMs: number
  /** The load thins out as it comes near `mutationsMax`, so that it lasts however slow the machine is; default false. */
  readonly lasting?: boolean
  /** After every name of a user and channel, so that several teams may work on the same servers. */
  readonly tag?: string
  /** Every other device speaks as a client of the next release; default false. */
  readonly nextClients?: boolean
  /** Channels beside the usual ones, with everybody in them. */
  readonly moreChannels?: number
  /** How often a step is taken, where it is not as usual. */
  readonly weights?: Partial<Record<keyof typeof weights, number>>
}

const weights = {
  send: 60,
  sendTwice: 5,
  sendAgain: 6,
  edit: 6,
  delete: 3,
  read: 7,
  markUnread: 1,
  history: 3,
  member: 3,
  lobby: 2,
  rename: 1,
  look: 1,
  drop: 1,
  /** Ids from far ahead, or from before the window: they are refused for good. */
  otherDay: 0
} as const

export class Workload {
  readonly recorder = new Recorder()
  /** All that the run has made. */
  readonly channels: Array<string> = []
  readonly devices: ReadonlyArray<Device>
  /** Owns every channel and is never removed: his devices read the truth at the end. */
  readonly owner: string
  readonly #users: ReadonlyArray<string>
  readonly #tag: string
  readonly #options: WorkloadOptions
  readonly #random: Random
  #mutations = 0
  #texts = 0
  #started = false
  #working = false
  #givenUp = false
  #lanes: Array<Promise<void>> = []
  #done: Array<{ readonly user: string; readonly mutation: Mutation }> = []
  #onAck: (() => void) | undefined

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#random = options.random
    const { nextClients = false, tag = "", url } = options
    this.#tag = tag
    this.#users = users.map((user) => user + tag)
    this.owner = this.#users[0] ?? ""
    this.devices = devices.map((name, index) => {
      const [who = "", number = ""] = name.split("-")
      const user = who + tag
      const device = `${user}-${number}`
      // Second devices lie in a pocket: they watch nothing.
      return new Device({
        user,
        device,
        url,
        recorder: this.recorder,
        watches: !device.endsWith("-2"),
        next: nextClients && index % 2 === 1
      })
    })
  }

  /** Makes the channels, everybody in them, and connects everybody. */
  async prepare(): Promise<void> {
    await this.#asOwner((device) =>
      this.#createAll(
        device,
        [...channels, ...this.#more()].map((channel) => channel + this.#tag)
      )
    )
    for (const device of this.devices) device.start()
    this.#started = true
    await Promise.all(this.devices.map((device) => device.whenReady()))
  }

  #more(): ReadonlyArray<string> {
    return Array.from({ length: this.#options.moreChannels ?? 0 }, (_, index) => `group:more${index}`)
  }

  /** One message each in channels where nothing was said before and nothing will be: what is lost then stays lost. */
  async lastWords(count: number, pauseMs: number): Promise<void> {
    const quiet = Array.from({ length: count }, (_, index) => `group:quiet${index}${this.#tag}`)
    await this.#asOwner(async (device) => {
      await this.#createAll(device, quiet)
      const known = () =>
        this.devices.every((device) => quiet.every((channel) => (device.channels.get(channel)?.position ?? 0) > 0))
      for (const until = Date.now() + answerMsMax; !known() && Date.now() < until;) await delay(pauseMs)
      for (const channel of quiet) {
        await this.#carryOut(device, this.#message(channel))
        await delay(pauseMs)
      }
    })
  }

  /** One more message in each channel, by a connection of its own. */
  async sayEverywhere(): Promise<void> {
    await this.#asOwner(async (device) => {
      for (const channel of this.channels) await this.#carryOut(device, this.#message(channel))
    })
  }

  /** Devices that lack what was acknowledged in a channel that they hold, each with what it lacks. */
  lateDevices(): ReadonlyArray<string> {
    const heads = new Map<string, number>()
    for (const fact of this.recorder.facts) {
      if (fact._tag === "Acked") heads.set(fact.channel, Math.max(heads.get(fact.channel) ?? 0, fact.seq))
    }
    return this.devices.flatMap(({ channels, device }) =>
      [...channels].flatMap(([channel, { position }]) => {
        const head = heads.get(channel) ?? 0
        return position >= 0 && position < head ? [`${device} is at ${position} of ${head} in ${channel}`] : []
      })
    )
  }

  async #createAll(device: Device, made: ReadonlyArray<string>): Promise<void> {
    const members = this.#users.filter((user) => user !== this.owner)
    for (const channel of made) {
      this.channels.push(channel)
      await this.#carryOut(device, { op: "create", channel, cid: newClientId(), name: channel, members })
    }
  }

  /** On a device that is gone afterwards. */
  async #asOwner(use: (device: Device) => Promise<void>): Promise<void> {
    const { url } = this.#options
    const device = new Device({ user: this.owner, device: `${this.owner}-0`, url, recorder: this.recorder })
    device.start()
    await use(device)
    await device.stop()
  }

  begin(): void {
    this.#working = true
    this.#lanes = this.devices.flatMap((device) => Array.from({ length: lanes }, () => this.#lane(device)))
  }

  /** No new step is begun; resolves when all that was begun is answered, or the time is over. */
  async end(msMax: number): Promise<void> {
    this.#working = false
    const timer = setTimeout(() => (this.#givenUp = true), msMax)
    await Promise.race([Promise.all(this.#lanes), delay(msMax + answerMsMax, undefined, { ref: false })])
    clearTimeout(timer)
  }

  async stop(): Promise<void> {
    this.#working = false
    await Promise.all(this.devices.map((device) => device.stop()))
  }

  get acked(): number {
    return this.recorder.facts.filter((fact) => fact._tag === "Acked").length
  }

  /** Resolves at the moment an ack comes in that is the `count`th from now. */
  whenAcked(count: number, then: () => void): void {
    let left = count
    this.#onAck = () => {
      if (--left > 0) return
      this.#onAck = undefined
      then()
    }
  }

  /** Waits for so many acks from now on; false: the time is over. */
  async untilAcked(count: number, msMax: number): Promise<boolean> {
    let done = false
    const acks = new Promise<void>((resolve) =>
      this.whenAcked(count, () => {
        done = true
        resolve()
      })
    )
    await Promise.race([acks, delay(msMax, undefined, { ref: false })])
    return done
  }

  async #lane(device: Device): Promise<void> {
    while (this.#working && this.#mutations < this.#options.mutationsMax) {
      await this.#step(device)
      await delay(this.#options.pauseMs * this.#thinning * this.#random.next() * 2)
    }
  }

  /** How many times its pause a lane waits. */
  get #thinning(): number {
    const { lasting = false, mutationsMax } = this.#options
    const left = 1 - this.#mutations / mutationsMax
    return lasting ? Math.min(thinningMax, 1 / (left * left)) : 1
  }

  async #step(device: Device): Promise<void> {
    if (!(await device.whenReady())) return
    const channel = this.#random.pick([...device.channels.keys()])
    if (channel === undefined) {
      // Out of everything: back in where anybody may, which its push tells a moment later.
      await this.#lobby(device)
      await delay(this.#options.pauseMs * 10)
      return
    }
    switch (this.#random.weighted({ ...weights, ...this.#options.weights })) {
      case "send":
        return this.#carryOut(device, this.#message(channel))
      case "sendTwice":
        return this.#twice(device, this.#message(channel))
      case "sendAgain":
        return this.#again(device)
      case "edit":
        return this.#edit(device, channel)
      case "delete":
        return this.#delete(device, channel)
      case "read":
        return device.read(channel)
      case "markUnread":
        return this.#markUnread(device, channel)
      case "history":
        return this.#history(device, channel)
      case "member":
        return this.#member(channel)
      case "lobby":
        return this.#lobby(device)
      case "rename":
        return this.#rename(channel)
      case "look":
        return device.look()
      case "drop":
        return device.drop()
      case "otherDay": {
        const ahead = this.#random.next() < 0.5 ? Limits.clientIdAheadMsMax : -Limits.idempotencyWindowMs
        const at = Date.now() + Math.round(ahead * (1.1 + this.#random.next()))
        await device.attempt({ ...this.#message(channel), cid: newClientId(at) })
        return
      }
    }
  }

  /** Until it is answered for good, over whatever connections the user has by then. */
  async #carryOut(device: Device, mutation: Mutation): Promise<void> {
    this.#mutations++
    for (let tries = 0, at = device; tries < triesMax && !this.#givenUp; tries++) {
      const outcome = await at.attempt(mutation)
      if (outcome === "done") {
        this.#done.push({ user: device.user, mutation })
        if (this.#done.length > rememberedMax) this.#done.shift()
        this.#onAck?.()
      }
      if (outcome !== "again") return
      // Sometimes the retry goes over the user's other device, once they are there.
      at = this.#started && this.#random.next() < 0.3 ? (this.#random.pick(this.#of(device.user)) ?? device) : device
      await delay(this.#random.between(1, 20))
    }
  }

  async #twice(device: Device, mutation: Mutation): Promise<void> {
    const other = this.#random.pick(this.#of(device.user)) ?? device
    await Promise.all([this.#carryOut(device, mutation), this.#carryOut(other, mutation)])
  }

  async #again(device: Device): Promise<void> {
    const done = this.#random.pick(this.#done.filter(({ user }) => user === device.user))
    if (done !== undefined) await this.#carryOut(device, done.mutation)
  }

  #message(channel: string): Mutation {
    const mentions = this.#random.next() < 0.1 ? [this.#random.pick(this.#users) ?? this.owner] : []
    return { op: "send", channel, cid: newClientId(), text: this.#text(), mentions }
  }

  #text(): string {
    return `message ${++this.#texts} ${"грüße ".repeat(this.#random.between(0, 8))}`.trim()
  }

  async #edit(device: Device, channel: string): Promise<void> {
    const target = this.#random.pick(device.channels.get(channel)?.own().slice(-20) ?? [])?.seq
    if (target === undefined) return
    await this.#carryOut(device, { op: "edit", channel, cid: newClientId(), target, text: this.#text() })
  }

  async #delete(device: Device, channel: string): Promise<void> {
    const target = this.#random.pick(device.channels.get(channel)?.own().slice(-20) ?? [])?.seq
    if (target !== undefined) await this.#carryOut(device, { op: "delete", channel, cid: newClientId(), target })
  }

  async #markUnread(device: Device, channel: string): Promise<void> {
    const position = device.channels.get(channel)?.position ?? 0
    if (position < 1) return
    const seq = this.#random.between(Math.max(0, position - 10), position)
    await this.#carryOut(device, { op: "mark_unread", channel, cid: newClientId(), seq })
  }

  async #history(device: Device, channel: string): Promise<void> {
    const position = device.channels.get(channel)?.position ?? 0
    const place = this.#random.between(1, Math.max(1, position))
    const limit = this.#random.between(1, 20)
    await device.history(
      channel,
      this.#random.pick([{ limit }, { before: place, limit }, { after: place, limit }]) ?? {}
    )
  }

  /** The owner removes somebody, or brings him back. */
  async #member(channel: string): Promise<void> {
    const device = this.#random.pick(this.#of(this.owner))
    const members = [this.#random.pick(this.#users.filter((user) => user !== this.owner)) ?? ""]
    const op = this.#random.next() < 0.5 ? "remove_members" : "add_members"
    if (device !== undefined) await this.#carryOut(device, { op, channel, cid: newClientId(), members })
  }

  async #lobby(device: Device): Promise<void> {
    const channel = `public:lobby${this.#tag}`
    if (device.user === this.owner) return
    const op = device.channels.has(channel) && this.#random.next() < 0.5 ? "leave" : "join"
    await this.#carryOut(device, { op, channel, cid: newClientId() })
  }

  async #rename(channel: string): Promise<void> {
    const device = this.#random.pick(this.#of(this.owner))
    if (device !== undefined)
      await this.#carryOut(device, { op: "update", channel, cid: newClientId(), name: this.#text().slice(0, 60) })
  }

  #of(user: string): ReadonlyArray<Device> {
    return this.devices.filter((device) => device.user === user)
  }
}
