/**
 * Chat without a screen: each line of the input is a message or a command, each event a line of output. For pipes,
 * scripts and tests, and for terminals that can do no more.
 */
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import type { ChatClient } from "@parley/client/ChatClient"
import type { ViewMessage } from "@parley/client/ShownMessages"
import { readersOf } from "@parley/client/Receipts"
import { type ChatShell, onlineUsers, runCommand, usersSeen } from "./ChatActions.ts"
import { harmlessLine } from "./CellText.ts"
import { help, parseCommand } from "./Commands.ts"
import { timeOf } from "./MessageRows.ts"

/** How long the end of the input waits for messages to be sent. */
const drainMs = 15_000
/** As a shell has it when a reader of the output went away (SIGPIPE). */
const brokenPipeCode = 141

export class LineMode implements ChatShell {
  readonly client: ChatClient
  readonly #output: Writable
  #current: string
  /** Channel → what was printed last of each message, by key. */
  readonly #printed = new Map<string, Map<string, string>>()
  readonly #watching = new Set<string>()
  /** Channel → who had read the newest own message, and who typed, when it was printed last. */
  readonly #readers = new Map<string, string>()
  readonly #typing = new Map<string, ReadonlyArray<string>>()
  #quit: (() => void) | undefined
  #status = ""
  #online = ""
  #broken = false

  constructor(client: ChatClient, channel: string, output: Writable) {
    this.client = client
    this.#current = channel
    this.#output = output
  }

  /** Until the input ends or /quit; resolves to the exit code. */
  async run(input: Readable): Promise<number> {
    const quit = new Promise<void>((resolve) => {
      this.#quit = resolve
    })
    // For good: a line that is on its way may fail after the end.
    this.#output.on("error", () => {
      this.#broken = true
      this.#quit?.()
    })
    const unsubscribe = [
      this.client.onStatus(() => this.#statusChanged()),
      this.client.channels.subscribe(() => this.#watchAll()),
      this.client.presence.subscribe(() => this.#presenceChanged())
    ]
    this.#statusChanged()
    this.#watchAll()
    this.client.channel(this.#current).watch()
    await this.client
      .channel(this.#current)
      .loadOlder()
      .catch(() => false)
    const lines = createInterface({ input, terminal: false })
    const ended = this.#each(lines)
    await Promise.race([quit, ended])
    lines.close()
    if (this.#broken) return brokenPipeCode
    await Promise.race([this.client.idle(), new Promise((resolve) => setTimeout(resolve, drainMs).unref())])
    // Observers are told in a microtask: the last line is to be out.
    await new Promise((resolve) => setImmediate(resolve))
    for (const stop of unsubscribe) stop()
    const unsent = this.client.channels.snapshot().channels.some(({ channel }) =>
      this.client
        .channel(channel)
        .snapshot()
        .messages.some(({ state }) => state !== "sent")
    )
    return unsent ? 1 : 0
  }

  current(): string {
    return this.#current
  }

  go(channel: string): void {
    if (channel === this.#current) return
    this.client.channel(this.#current).unwatch()
    this.#current = channel
    this.client.channel(channel).watch()
    this.#print(`* now in ${channel}`)
    this.#watchAll()
  }

  notice(text: string, alarm = false): void {
    this.#print(`${alarm ? "!" : "*"} ${text}`)
  }

  /** There is no input line to put it into. */
  edit(text: string): void {
    this.#print(`* ${text}`)
  }

  help(): void {
    for (const line of help) this.#print(`* ${line}`)
  }

  quit(): void {
    this.#quit?.()
  }

  async #each(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      if (line.trim() === "") continue
      const command = parseCommand(line)
      // A message is on its way by itself; a command may decide where the next line goes.
      const done = runCommand(this, command)
      if (command._tag !== "Say") await done
      else done.catch((error: unknown) => this.notice(String(error), true))
    }
  }

  #statusChanged(): void {
    const { status } = this.client
    const text =
      status.state === "waiting"
        ? `reconnecting: ${status.reason}`
        : status.state === "stopped"
          ? `disconnected: ${status.reason}`
          : status.state
    if (text === this.#status) return
    this.#status = text
    this.#print(status.state === "online" ? `* connected as ${this.client.user}` : `* ${text}`)
  }

  #watchAll(): void {
    for (const { channel } of this.client.channels.snapshot().channels) {
      if (this.#watching.has(channel)) continue
      this.#watching.add(channel)
      const view = this.client.channel(channel)
      view.subscribe(() => this.#show(channel))
      this.#show(channel)
    }
  }

  #show(channel: string): void {
    const view = this.client.channel(channel)
    const { messages } = view.snapshot()
    const before = this.#printed.get(channel) ?? new Map<string, string>()
    const now = new Map<string, string>()
    for (const message of messages) {
      const form = `${message.state} ${message.edited} ${message.deleted} ${message.text}`
      now.set(message.key, form)
      if (before.get(message.key) !== form) this.#message(channel, message, before.has(message.key))
    }
    this.#printed.set(channel, now)
    this.#showTyping(channel)
    this.#showReaders(channel)
    this.client.presence.watch(usersSeen(this.client))
    if (channel === this.#current) view.read()
  }

  #showTyping(channel: string): void {
    const { typing } = this.client.channel(channel).snapshot()
    const before = this.#typing.get(channel) ?? []
    this.#typing.set(channel, typing)
    for (const user of typing) if (!before.includes(user)) this.#print(`* [${channel}] ${user} is typing`)
  }

  #showReaders(channel: string): void {
    const { messages, receipts } = this.client.channel(channel).snapshot()
    const newest = messages.findLast(({ by, deleted, seq }) => by === this.client.user && seq !== null && !deleted)
    if (newest === undefined || newest.seq === null) return
    const readers = readersOf(receipts, newest.seq)
    const text = readers.length === 0 ? "" : `* [${channel}] #${newest.seq} read by ${readers.join(", ")}`
    if (text === this.#readers.get(channel)) return
    this.#readers.set(channel, text)
    if (text !== "") this.#print(text)
  }

  #presenceChanged(): void {
    const online = onlineUsers(this.client)
    const text = online.length === 0 ? "nobody else is online" : `online: ${online.join(", ")}`
    if (text === this.#online || (this.#online === "" && online.length === 0)) return
    this.#online = text
    this.#print(`* ${text}`)
  }

  /** A message that is on its way is printed once it is there, or has failed. */
  #message(channel: string, message: ViewMessage, known: boolean): void {
    if (message.state === "sending") return
    const start = `[${channel}] ${timeOf(message.at)} ${harmlessLine(message.by)}`
    if (message.state === "failed")
      this.#print(`! [${channel}] not sent: ${message.text} (${message.error?.message ?? ""})`)
    else if (message.deleted) this.#print(`${start} deleted #${message.seq}`)
    else if (known && message.edited) this.#print(`${start} edited #${message.seq}: ${message.text}`)
    else this.#print(`${start}: ${message.text}`)
  }

  #print(text: string): void {
    if (!this.#broken) this.#output.write(`${harmlessLine(text)}\n`)
  }
}
