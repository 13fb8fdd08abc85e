/**
 * Recorded conversations: one message a line, `{conversation, sender, at, text}` with `at` in ISO 8601 (the shape of the
 * CHITCHAT data set), plain or gzipped.
 */
import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"
import { createGunzip } from "node:zlib"
import { Option, Schema } from "effect"

const Line = Schema.fromJsonString(
  Schema.Struct({
    conversation: Schema.Union([Schema.String, Schema.Int]),
    sender: Schema.Union([Schema.String, Schema.Int]),
    at: Schema.String,
    text: Schema.String
  })
)
const decodeLine = Schema.decodeUnknownOption(Line)

export interface SpokenMessage {
  readonly sender: string
  /** Milliseconds after the conversation's first message. */
  readonly after: number
  readonly text: string
}

export interface Conversation {
  readonly name: string
  readonly senders: ReadonlyArray<string>
  readonly messages: ReadonlyArray<SpokenMessage>
}

/** Pauses between two messages count at most this long: nobody waits for the next day. */
export const pauseMsMax = 60_000

/** Reads at most `conversationsMax` conversations; lines that are none are counted. */
export const readConversations = async (
  file: string,
  conversationsMax: number
): Promise<{ readonly conversations: ReadonlyArray<Conversation>; readonly skipped: number }> => {
  const raw = createReadStream(file)
  const lines = createInterface({ input: file.endsWith(".gz") ? raw.pipe(createGunzip()) : raw, crlfDelay: Infinity })
  const spoken = new Map<string, Array<{ readonly sender: string; readonly at: number; readonly text: string }>>()
  let skipped = 0
  for await (const line of lines) {
    const decoded = Option.getOrUndefined(decodeLine(line))
    const at = decoded === undefined ? Number.NaN : Date.parse(decoded.at)
    if (decoded === undefined || Number.isNaN(at) || decoded.text.trim() === "") {
      skipped++
      continue
    }
    const name = String(decoded.conversation)
    let messages = spoken.get(name)
    if (messages === undefined) {
      if (spoken.size >= conversationsMax) continue
      messages = []
      spoken.set(name, messages)
    }
    messages.push({ sender: String(decoded.sender), at, text: decoded.text })
  }
  return { conversations: [...spoken].map(([name, messages]) => conversation(name, messages)), skipped }
}

const conversation = (
  name: string,
  spoken: ReadonlyArray<{ readonly sender: string; readonly at: number; readonly text: string }>
): Conversation => {
  const inOrder = spoken.toSorted((a, b) => a.at - b.at)
  let after = 0
  let before = inOrder[0]?.at ?? 0
  const messages = inOrder.map(({ at, sender, text }) => {
    after += Math.min(at - before, pauseMsMax)
    before = at
    return { sender, after, text }
  })
  return { name, senders: [...new Set(inOrder.map((message) => message.sender))], messages }
}
