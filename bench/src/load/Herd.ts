/**
 * Many users in many channels who lose their connections at once and resume. A user's place in each of his channels is
 * one number; whatever is not next, be it in a sync's answer or live, ends the bench. Positions are kept in one array, so
 * that half a million of them cost the generator little.
 */
import { ascending, pause, percentile, until } from "../Report.ts"
import type { SeedChannel } from "../seed/SeedChannel.ts"
import { sync, type SyncAnswer, type SyncedChannel } from "./Channels.ts"
import { type Client, clientId, connectClient, inParallel, type Target } from "./Clients.ts"
import { ackedSeq, rangeOf } from "./Order.ts"
import { pace } from "./Sends.ts"

export interface HerdShape {
  readonly users: number
  readonly channelsEach: number
  readonly membersEach: number
  /** Users that send and stay connected. */
  readonly senders: number
}

/** As `@parley/client` waits: a draw from a window that doubles. */
const backoffBaseMs = 500
const backoffMaxMs = 15_000
const settleMsMax = 60_000
/** Until the last one of a hundred thousand members has heard that he is one. */
const addedMsMax = 300_000
/** Syncs of one user because a channel's owner did not answer the one before. */
const againMax = 8
const addresses = 8
const messagesEach = 3

interface Resumed {
  readonly lastMs: number
  readonly p50Ms: number
  readonly refused: number
  /** Syncs beyond one a user, because the owner of a channel did not answer in time. */
  readonly again: number
}

export class Herd {
  readonly #targetOf: (user: number) => Target
  readonly #shape: HerdShape
  readonly #clients: Array<Client | undefined> = []
  /** The user is between his sync's request and its answer: live events wait, as in a client. */
  readonly #syncing: Array<Array<string> | undefined> = []
  readonly #sessions: Array<SyncAnswer["session"]> = []
  readonly #at: Int32Array
  readonly #heads: Int32Array
  #pacer: NodeJS.Timeout | undefined
  #openSends = 0
  #turn = 0
  #again = 0
  events = 0

  private constructor(targetOf: (user: number) => Target, shape: HerdShape) {
    this.#targetOf = targetOf
    this.#shape = shape
    this.#at = new Int32Array(shape.users * shape.channelsEach).fill(-1)
    this.#heads = new Int32Array(channelCount(shape))
  }

  /** Layer `j` of the channels splits the users into groups, another way in each layer. */
  static *channels(shape: HerdShape): Generator<SeedChannel> {
    for (let channel = 0; channel < channelCount(shape); channel++) {
      const members = membersOf(shape, channel).map((user) => `u${user}`)
      yield { id: idOf(channel), members, messages: messagesEach, senders: 2 }
    }
  }

  /** Makes the channels where there is no seed: each by its first member, from a connection of his that ends then. */
  static async create(targetOf: (user: number) => Target, shape: HerdShape): Promise<void> {
    const channels = Array.from({ length: channelCount(shape) }, (_, channel) => ({
      id: idOf(channel),
      members: membersOf(shape, channel)
    }))
    const makers = [...new Set(channels.map(({ members }) => members[0] ?? 0))]
    const clients: Array<Client> = []
    await inParallel(makers, 64, async (user) => {
      clients[user] = await connectClient(targetOf(user), `u${user}`, [])
    })
    await inParallel(channels, 64, async ({ id, members }) => {
      const others = JSON.stringify(members.slice(1).map((user) => `u${user}`))
      const fields = `"cid":"${clientId()}","channel":"${id}","name":"bench","members":${others}`
      await clients[members[0] ?? 0]?.request("create", fields)
    })
    for (const client of clients) client?.close()
  }

  /** `targetOf`: which server a user connects to, asked at each attempt. */
  static async open(targetOf: (user: number) => Target, shape: HerdShape): Promise<Herd> {
    const herd = new Herd(targetOf, shape)
    await inParallel(
      Array.from({ length: shape.users }, (_, user) => user),
      64,
      (user) => herd.#resume(user)
    )
    return herd
  }

  /** Connects, and syncs from what the user holds. */
  async #resume(user: number): Promise<void> {
    const client = await connectClient(this.#targetOf(user), `u${user}`, [], `127.0.0.${2 + (user % addresses)}`)
    const waiting: Array<string> = []
    this.#clients[user] = client
    this.#syncing[user] = waiting
    client.onPush = (frame) => {
      const held = this.#syncing[user]
      if (held === undefined) this.#live(user, frame)
      else held.push(frame)
    }
    const session = this.#sessions[user]
    let answer = await sync(client, this.#held(user), session ?? { generation: 0, seq: 0 })
    // Who was just made a member hears of it a moment later.
    const until = performance.now() + (session === undefined ? addedMsMax : 0)
    while (answer.channels.length < this.#shape.channelsEach && performance.now() < until) {
      await pause(500)
      answer = await sync(client, this.#held(user), { generation: 0, seq: 0 })
    }
    this.#take(user, answer)
    // As `@parley/client` does where the owner of a channel did not answer in time.
    for (let tries = 1; (answer.unavailable ?? []).length > 0 && tries <= againMax; tries++) {
      this.#again++
      await pause(Math.random() * Math.min(backoffMaxMs, backoffBaseMs * 2 ** tries))
      answer = await sync(client, this.#held(user), answer.session)
      this.#take(user, answer)
    }
    if (answer.channels.length !== this.#shape.channelsEach) {
      throw new Error(`u${user} has ${answer.channels.length} channels instead of ${this.#shape.channelsEach}`)
    }
    this.#syncing[user] = undefined
    for (const frame of waiting) this.#live(user, frame)
  }

  #held(user: number): ReadonlyArray<readonly [channel: string, generation: number, seq: number]> {
    return Array.from({ length: this.#shape.channelsEach }, (_, layer) => layer).flatMap((layer) => {
      const at = this.#at[this.#slot(user, layer)] ?? -1
      return at < 0 ? [] : [[idOf(channelOf(this.#shape, user, layer)), 1, at] as const]
    })
  }

  #take(user: number, answer: SyncAnswer): void {
    this.#sessions[user] = answer.session
    for (const channel of answer.channels) this.#synced(user, channel)
  }

  #synced(user: number, { events, from, head, reload, to }: SyncedChannel): void {
    const channel = Number(head.channel.slice("group:h".length))
    const slot = this.#slot(user, layerOf(this.#shape, channel))
    const at = this.#at[slot] ?? -1
    if (at < 0) {
      // The first sync: history is on demand, its end is where he stands.
      this.#heads[channel] = Math.max(this.#heads[channel] ?? 0, head.seq)
    } else if (reload || from !== at)
      throw new Error(`u${user} is at ${at} of ${head.channel} and got (${from}, ${to}], reload ${reload}`)
    else {
      let next = at + 1
      for (const { seq } of events)
        if (seq !== next++) throw new Error(`u${user} of ${head.channel} got ${seq} in (${from}, ${to}]`)
      if (next !== to + 1) throw new Error(`u${user} of ${head.channel}: (${from}, ${to}] has ${events.length} events`)
      this.events += events.length
    }
    this.#at[slot] = to
  }

  #live(user: number, frame: string): void {
    const range = rangeOf(frame)
    if (range === undefined) return
    const channel = Number(range.channel.slice("group:h".length))
    const slot = this.#slot(user, layerOf(this.#shape, channel))
    const at = this.#at[slot] ?? -1
    // Pages of a sync take time: what they cover may also have come live.
    if (range.to <= at) return
    if (range.from !== at)
      throw new Error(`u${user} is at ${at} of ${range.channel} and got (${range.from}, ${range.to}]`)
    this.#at[slot] = range.to
    this.events++
  }

  /** Senders stay: a user whose own ack is lost with his connection would have to repeat it, which is another bench. */
  async dropAndResume(): Promise<Resumed> {
    this.drop()
    return this.resume()
  }

  get #resuming(): ReadonlyArray<number> {
    const { senders, users } = this.#shape
    return Array.from({ length: users - senders }, (_, index) => index + senders)
  }

  drop(): void {
    for (const user of this.#resuming) this.#clients[user]?.close()
  }

  /** All that were dropped. */
  async resume(): Promise<Resumed> {
    const dropped = this.#resuming
    const begun = performance.now()
    let refused = 0
    this.#again = 0
    const times = await Promise.all(
      dropped.map(async (user) => {
        for (let attempt = 0; ; attempt++) {
          await pause(Math.random() * Math.min(backoffMaxMs, backoffBaseMs * 2 ** attempt))
          try {
            await this.#resume(user)
            return performance.now() - begun
          } catch (error) {
            if (
              !(error instanceof Error) ||
              !/not let in|overloaded|rate_limited|unavailable|moved/.test(error.message)
            )
              throw error
            this.#clients[user]?.close()
            refused++
          }
        }
      })
    )
    const sorted = ascending(times)
    return { lastMs: sorted.at(-1) ?? 0, p50Ms: percentile(sorted, 0.5), refused, again: this.#again }
  }

  startSends(perSecond: number): void {
    this.#pacer = pace(
      perSecond,
      () => this.#openSends < 20_000,
      () => this.#send()
    )
  }

  #send(): void {
    const { channelsEach, senders } = this.#shape
    const turn = this.#turn++
    const user = turn % senders
    const layer = Math.floor(turn / senders) % channelsEach
    const channel = channelOf(this.#shape, user, layer)
    this.#openSends++
    this.#clients[user]?.ask(
      "send",
      `"cid":"${clientId()}","channel":"${idOf(channel)}","text":"through the storm"`,
      (frame) => {
        this.#openSends--
        // Refused while the loop lags, as the server is to do; it was not acknowledged, so it can't be lost.
        if (frame.includes('"code":"overloaded"')) return
        const seq = ackedSeq(frame)
        this.#heads[channel] = Math.max(this.#heads[channel] ?? 0, seq)
        const slot = this.#slot(user, layer)
        this.#ownAck(slot, seq)
      }
    )
  }

  /** A sender's own messages come as acks; those of others in the same channel as events, in order all together. */
  #ownAck(slot: number, seq: number): void {
    const at = this.#at[slot] ?? -1
    if (seq === at + 1) this.#at[slot] = seq
    else if (seq > at) throw new Error(`an ack of ${seq} came at ${at}: two senders share a channel`)
  }

  async stopSends(): Promise<void> {
    clearInterval(this.#pacer)
    if (!(await until(() => this.#openSends === 0, settleMsMax)))
      throw new Error(`${this.#openSends} sends were never answered`)
  }

  /** Everybody stands at the last acknowledged message of every channel. */
  async settled(): Promise<void> {
    const { channelsEach, users } = this.#shape
    const behind = () => {
      for (let user = 0; user < users; user++) {
        for (let layer = 0; layer < channelsEach; layer++) {
          const channel = channelOf(this.#shape, user, layer)
          if ((this.#at[this.#slot(user, layer)] ?? -1) !== this.#heads[channel]) return `u${user} in ${idOf(channel)}`
        }
      }
      return undefined
    }
    if (!(await until(() => behind() === undefined, settleMsMax))) throw new Error(`${behind()} lost something`)
  }

  close(): void {
    for (const client of this.#clients) client?.close()
  }

  #slot(user: number, layer: number): number {
    return user * this.#shape.channelsEach + layer
  }
}

const idOf = (channel: number): string => `group:h${channel}`
const groupsOf = ({ membersEach, users }: HerdShape): number => users / membersEach
const channelCount = (shape: HerdShape): number => groupsOf(shape) * shape.channelsEach
const layerOf = (shape: HerdShape, channel: number): number => Math.floor(channel / groupsOf(shape))

/** In layer `j` users `u` with the same `(u + j · ⌊u / groups⌋) mod groups` are together: each pair in few layers. */
const channelOf = (shape: HerdShape, user: number, layer: number): number => {
  const groups = groupsOf(shape)
  return layer * groups + ((user + layer * Math.floor(user / groups)) % groups)
}

const membersOf = (shape: HerdShape, channel: number): Array<number> => {
  const groups = groupsOf(shape)
  const layer = layerOf(shape, channel)
  const group = channel % groups
  return Array.from(
    { length: shape.membersEach },
    (_, row) => row * groups + ((((group - layer * row) % groups) + groups) % groups)
  )
}
