/** Drives one replay over a server, and checks what every recipient gets against the conversations themselves. */
import { type Client, clientId, connectMany, type Target } from "../load/Clients.ts"
import { syncAll } from "../load/Channels.ts"
import { ackedSeq, rangeOf } from "../load/Order.ts"
import { until } from "../Report.ts"
import type { Conversation, Conversations } from "./Conversations.ts"

/** Conversations under way at once. */
const atOnce = 256
const settleMsMax = 30_000

interface Progress {
  readonly conversation: Conversation
  /** For each of the two users, the message that he gets next. His own he passes over. */
  readonly next: [number, number]
}

/** Frames are ASCII: what is not is escaped, as JSON allows. */
const json = (text: string): string =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

export class Replay {
  readonly #clients: ReadonlyArray<Client>
  readonly #progress: ReadonlyMap<string, Progress>
  checked = 0

  private constructor(clients: ReadonlyArray<Client>, conversations: ReadonlyArray<Conversation>) {
    this.#clients = clients
    this.#progress = new Map(
      conversations.map((conversation) => {
        const progress: Progress = { conversation, next: [0, 0] }
        this.#passOwn(progress, 0)
        this.#passOwn(progress, 1)
        return [conversation.id, progress]
      })
    )
    clients.forEach((client, user) => {
      client.onPush = (frame) => this.#take(user, frame)
    })
  }

  static async open(target: Target, { conversations, users }: Conversations): Promise<Replay> {
    const of = Array.from({ length: users }, () => new Array<string>())
    for (const { id, users: both } of conversations) for (const user of both) of[user]?.push(id)
    const clients = await connectMany(target, users, "u", (user) => of[user] ?? [])
    if (!target.baseline) await syncAll(clients, (user) => of[user]?.length ?? 0)
    return new Replay(clients, conversations)
  }

  #passOwn({ conversation, next }: Progress, side: 0 | 1): void {
    while (conversation.messages[next[side]]?.sender === conversation.users[side]) next[side]++
  }

  #take(user: number, frame: string): void {
    const range = rangeOf(frame)
    const progress = range === undefined ? undefined : this.#progress.get(range.channel)
    if (progress === undefined) return
    const side = progress.conversation.users[0] === user ? 0 : 1
    const expected = progress.conversation.messages[progress.next[side]]
    // The server's own push; that it is what was sent is what is checked here.
    const { event } = JSON.parse(frame) as { readonly event: { readonly text?: string } }
    if (expected === undefined || event.text !== expected.text) {
      throw new Error(`u${user} expected "${expected?.text}" in ${progress.conversation.id} and got "${event.text}"`)
    }
    progress.next[side]++
    this.#passOwn(progress, side)
    this.checked++
  }

  /** Resolves once everybody has everything. */
  async run(): Promise<{ readonly seconds: number; readonly conversationSeconds: number }> {
    const begun = performance.now()
    const waiting = [...this.#progress.values()]
    let conversationSeconds = 0
    const worker = async () => {
      for (let progress = waiting.pop(); progress !== undefined; progress = waiting.pop()) {
        const at = performance.now()
        await this.#say(progress.conversation)
        conversationSeconds += (performance.now() - at) / 1_000
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    const behind = () => this.#behind()
    if (!(await until(() => behind() === undefined, settleMsMax)))
      throw new Error(`${behind()} did not reach both of its users`)
    return { seconds: (performance.now() - begun) / 1_000, conversationSeconds }
  }

  #behind(): string | undefined {
    for (const { conversation, next } of this.#progress.values()) {
      if (next[0] < conversation.messages.length || next[1] < conversation.messages.length) return conversation.id
    }
    return undefined
  }

  #say({ id, messages }: Conversation): Promise<void> {
    return new Promise((resolve) => {
      let next = 0
      const sendNext = (): void => {
        const message = messages[next++]
        if (message === undefined) return resolve()
        this.#clients[message.sender]?.ask(
          "send",
          `"cid":"${clientId()}","channel":"${id}","text":${json(message.text)}`,
          (frame) => {
            ackedSeq(frame)
            sendNext()
          }
        )
      }
      sendNext()
    })
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}
