/**
 * `parley replay FILE`: plays recorded conversations through a server in development mode, each sender a user with a
 * connection of his own, and checks that every other member sees every message, once and in order.
 */
import { ChatClient } from "@parley/client/ChatClient"
import { memoryStorage } from "@parley/client/ClientStorage"
import { devToken } from "../chat/DevToken.ts"
import { parseFlags, unknownFlag } from "../Flags.ts"
import { type Conversation, readConversations } from "./Conversations.ts"

const conversationsDefault = 100
const speedDefault = 100
/** Conversations that are played at the same time. */
const atOnceDefault = 20
/** How long the last message may take to reach everybody. */
const settleMsMax = 30_000

interface Played {
  messages: number
  deliveries: number
  wrong: number
}

const usage =
  "usage: parley replay FILE [--url URL] [--conversations N] [--speed TIMES_REAL_TIME] [--at-once N]\n" +
  "FILE has a line a message: {conversation, sender, at, text}, plain or .gz"

const count = (value: string | undefined, fallback: number): number | undefined =>
  value === undefined ? fallback : /^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined

export const replay = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const [file] = rest
  const conversationsMax = count(flags["conversations"], conversationsDefault)
  const speed = count(flags["speed"], speedDefault)
  const atOnce = count(flags["at-once"], atOnceDefault)
  const wrong = unknownFlag(flags, ["url", "conversations", "speed", "at-once"])
  if (
    wrong !== undefined ||
    file === undefined ||
    conversationsMax === undefined ||
    speed === undefined ||
    atOnce === undefined
  ) {
    complain(`${wrong ?? "a file and whole numbers are needed"}\n${usage}`)
    return 2
  }
  const url = flags["url"] ?? "http://127.0.0.1:8080"
  try {
    await devToken(url, "replay")
    const { conversations, skipped } = await readConversations(file, conversationsMax)
    if (skipped > 0) complain(`${skipped} lines are no messages, left out`)
    return await playAll(url, conversations, speed, atOnce)
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error))
    return 1
  }
}

const playAll = async (
  url: string,
  conversations: ReadonlyArray<Conversation>,
  speed: number,
  atOnce: number
): Promise<number> => {
  const played: Played = { messages: 0, deliveries: 0, wrong: 0 }
  const run = Date.now().toString(36)
  const begun = performance.now()
  let next = 0
  const worker = async () => {
    for (let one = conversations[next++]; one !== undefined; one = conversations[next++]) {
      await play(url, `${run}-${next}`, one, speed, played)
      if (process.stderr.isTTY) process.stderr.write(`\r${played.messages} messages, ${played.deliveries} delivered `)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, conversations.length) }, worker))
  const seconds = (performance.now() - begun) / 1_000
  const spoken = conversations.reduce((sum, one) => sum + (one.messages.at(-1)?.after ?? 0), 0) / 1_000
  process.stdout.write(
    `${conversations.length} conversations, ${played.messages} messages, ${played.deliveries} deliveries checked in ` +
      `${seconds.toFixed(1)} s (${Math.round(spoken / seconds)} × real time, pauses of over a minute cut), ${played.wrong} wrong\n`
  )
  return played.wrong === 0 ? 0 : 1
}

/** One conversation, from its first message until everybody has the last. */
const play = async (
  url: string,
  id: string,
  { messages, senders }: Conversation,
  speed: number,
  played: Played
): Promise<void> => {
  const users = senders.map((_, index) => `r-${id}-${index}`)
  const channel = `group:r-${id}`
  const clients = users.map(
    (user) => new ChatClient({ url, token: () => devToken(url, user), device: "replay", storage: memoryStorage() })
  )
  try {
    await Promise.all(clients.map((client) => client.start().then(() => client.ready())))
    const [first, ...others] = clients
    if (first === undefined) return
    await first.create(channel, { name: `Replay ${id}`, members: users.slice(1) }).done
    const seen = clients.map((client) => watch(client, channel))
    const isIn = (client: ChatClient) => client.channel(channel).snapshot().status === "member"
    const allIn = await until(() => others.every(isIn))
    if (!allIn)
      throw new Error(`${channel} did not come to ${others.filter((other) => !isIn(other)).map(stateIn(channel))}`)
    const begun = performance.now()
    for (const { after, sender, text } of messages) {
      await sleep(after / speed - (performance.now() - begun))
      clients[senders.indexOf(sender)]?.channel(channel).send(text)
      played.messages++
    }
    const allSeen = await until(() => seen.every((texts) => texts().length >= messages.length))
    if (!allSeen) {
      const lacking = clients.filter((_, at) => (seen[at]?.().length ?? 0) < messages.length)
      complain(
        `${channel}: after ${settleMsMax / 1_000} s not all ${messages.length} messages are at ${lacking.map(stateIn(channel))}`
      )
    }
    // Who sent first is not always first in the channel: one order for all is what counts.
    const order = seen[0]?.().join("\n") ?? ""
    const sent = messages
      .map((message) => message.text)
      .toSorted()
      .join("\n")
    for (const texts of seen) {
      const shown = texts()
      played.deliveries += shown.length
      if (shown.join("\n") !== order || shown.toSorted().join("\n") !== sent) played.wrong++
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()))
  }
}

/** Everything a client has shown of a channel, in the channel's order. */
const watch = (client: ChatClient, channel: string): (() => ReadonlyArray<string>) => {
  const bySeq = new Map<number, string>()
  const view = client.channel(channel)
  const take = () => {
    for (const message of view.snapshot().messages)
      if (message.seq !== undefined && message.seq !== null) bySeq.set(message.seq, message.text)
  }
  view.subscribe(take)
  take()
  return () => [...bySeq].sort(([a], [b]) => a - b).map(([, text]) => text)
}

/** Where a client stands, for whoever has to find out why it lacks something. */
const stateIn =
  (channel: string) =>
  (client: ChatClient): string => {
    const { head, messages, position, status } = client.channel(channel).snapshot()
    const unsent = messages.flatMap(({ error, state }) => (state === "sent" ? [] : [error?.code ?? state]))
    return `${client.user} (${client.status.state}, ${status}, at ${position} of ${head}, ${messages.length} shown, unsent: ${unsent.join(" ")})`
  }

const complain = (what: string): void => void process.stderr.write(`parley replay: ${what}\n`)

const sleep = (ms: number): Promise<void> =>
  ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms))

/** False: it did not come about in time. */
const until = async (condition: () => boolean): Promise<boolean> => {
  for (const deadline = performance.now() + settleMsMax; !condition(); await sleep(5)) {
    if (performance.now() > deadline) return false
  }
  return true
}
