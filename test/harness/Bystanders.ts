/**
 * Two people who chat while others misbehave: one message after the other, each acknowledged and shown to the other.
 * What they wrote is the data that has to be unharmed.
 */
import { expect } from "vitest"
import { newClientId } from "../wire/ClientIds.ts"
import { RawClient, type RawFrame, until } from "../wire/RawClient.ts"

export const bystandersChannel = "group:bystanders"
/** Between an ack and the next message. */
const pauseMs = 50
/** A round trip of theirs that takes longer is harm done. */
const roundMsMax = 5_000

export class Bystanders {
  readonly #ana: RawClient
  readonly #ben: RawClient
  readonly written: Array<string> = []
  #stopped = false
  #life: Promise<void> | undefined

  private constructor(ana: RawClient, ben: RawClient) {
    this.#ana = ana
    this.#ben = ben
  }

  static async start(url: string, token: (user: string) => Promise<string>): Promise<Bystanders> {
    const [ana, ben] = [await RawClient.open(url), await RawClient.open(url)]
    await ana.join(await token("ana"), "desk")
    await ben.join(await token("ben"), "desk")
    await ana.ok("create", { channel: bystandersChannel, cid: newClientId(), name: "", members: ["ben"] })
    await ben.pushed("the channel", (frame) => frame["ev"] === "channel")
    const bystanders = new Bystanders(ana, ben)
    bystanders.#life = bystanders.#chat()
    return bystanders
  }

  /** They go on now: a message that is written after this call is acknowledged and seen. */
  async unharmed(): Promise<void> {
    const before = this.written.length
    await until("the bystanders' next two messages", () => this.written.length >= before + 2, roundMsMax)
  }

  /** Ends the chat; what each of them saw is what was written. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#life
    for (const client of [this.#ana, this.#ben]) expect(client.closed).toBeUndefined()
    expect(texts(this.#ben.frames, "ana")).toEqual(this.written.filter((text) => text.startsWith("ana")))
    expect(texts(this.#ana.frames, "ben")).toEqual(this.written.filter((text) => text.startsWith("ben")))
    this.#ana.socket.terminate()
    this.#ben.socket.terminate()
  }

  async #chat(): Promise<void> {
    while (!this.#stopped) {
      const isAna = this.written.length % 2 === 0
      const [by, to] = isAna ? [this.#ana, this.#ben] : [this.#ben, this.#ana]
      const text = `${isAna ? "ana" : "ben"} ${this.written.length}`
      await by.ok("send", { channel: bystandersChannel, cid: newClientId(), text })
      await to.pushed(`"${text}" at the other`, (frame) => frame["event"]?.text === text, roundMsMax)
      this.written.push(text)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

const texts = (frames: ReadonlyArray<RawFrame>, by: string): ReadonlyArray<string> =>
  frames
    .filter((frame) => frame["ev"] === "event" && frame["event"].kind === "message" && frame["event"].by === by)
    .map((frame) => frame["event"].text as string) // a message's text
