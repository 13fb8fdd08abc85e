/** Real conversations out of a file of lines `{conversation, sender, at, text}`, gzipped or not. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"

export interface RealMessage {
  /** Index of the sender among all users. */
  readonly sender: number
  readonly text: string
}

export interface Conversation {
  readonly id: string
  /** Two users: of a conversation in which only one wrote, the other is one who listens. */
  readonly users: readonly [number, number]
  readonly messages: ReadonlyArray<RealMessage>
  /** From its first message to its last, in s. */
  readonly seconds: number
}

export interface Conversations {
  readonly users: number
  readonly conversations: ReadonlyArray<Conversation>
  readonly messages: number
  /** Lines without text: no server takes such a message. */
  readonly blank: number
}

const sample = join(import.meta.dirname, "..", "..", "data", "conversations.ndjson.gz")

interface Line {
  readonly conversation: string
  readonly sender: string
  readonly at: string
  readonly text: string
}

export const conversationsFile = (argument: string | undefined): string =>
  argument ?? process.env["PARLEY_CONVERSATIONS"] ?? sample

export const readConversations = (file: string): Conversations => {
  const bytes = readFileSync(file)
  const text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  const users = new Map<string, number>()
  const byId = new Map<string, Array<Line>>()
  let blank = 0
  for (const row of text.split("\n")) {
    if (row === "") continue
    // The dataset's own form; a line of another form ends the bench below.
    const line = JSON.parse(row) as Line
    if (!users.has(line.sender)) users.set(line.sender, users.size)
    if (line.text.trim() === "") blank++
    else byId.set(line.conversation, [...(byId.get(line.conversation) ?? []), line])
  }
  const listener = users.size
  const conversations = [...byId.values()].map((lines, index) => conversation(`dm:r${index}`, lines, users, listener))
  const messages = conversations.reduce((sum, { messages: all }) => sum + all.length, 0)
  return { users: users.size + 1, conversations, messages, blank }
}

const conversation = (
  id: string,
  lines: ReadonlyArray<Line>,
  users: ReadonlyMap<string, number>,
  listener: number
): Conversation => {
  const messages = lines.map(({ sender, text }) => ({ sender: users.get(sender) ?? listener, text }))
  const [first = listener, second = listener] = [...new Set(messages.map(({ sender }) => sender))]
  const times = lines.map(({ at }) => Date.parse(at))
  return { id, users: [first, second], messages, seconds: (Math.max(...times) - Math.min(...times)) / 1_000 }
}
