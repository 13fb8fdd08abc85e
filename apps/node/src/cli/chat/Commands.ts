/** What a person typed, as a command. Pure; what a command does is ChatActions' business. */
import { createHash } from "node:crypto"

export type Command =
  | { readonly _tag: "Say"; readonly text: string; readonly mentions: ReadonlyArray<string> }
  | { readonly _tag: "Join"; readonly channel: string }
  | {
      readonly _tag: "Create"
      readonly channel: string
      readonly name: string
      readonly members: ReadonlyArray<string>
    }
  | { readonly _tag: "Direct"; readonly user: string }
  /** Null: put the text of the newest own message into the input. */
  | { readonly _tag: "Edit"; readonly text: string | null }
  | { readonly _tag: "Delete" | "Retry" | "Discard" | "Unread" | "Leave" | "Help" | "Quit" | "Who" | "Channels" }
  | { readonly _tag: "Add" | "Remove"; readonly members: ReadonlyArray<string> }
  | { readonly _tag: "Topic" | "Rename"; readonly text: string }
  | { readonly _tag: "Wrong"; readonly why: string }

export const help: ReadonlyArray<string> = [
  "Type a message and press Enter. @name mentions somebody. //text sends text that begins with a slash.",
  "",
  "/join CHANNEL           go to a channel, and become a member if it is open",
  "/create NAME [USER…]    make an open channel, or with users a group of them",
  "/dm USER                talk to one user",
  "/edit [TEXT]            replace your newest message; without text, bring it into the input",
  "/delete                 take your newest message back",
  "/retry, /discard        send a failed message again, or forget it",
  "/unread                 mark the newest message unread, on all your devices",
  "/topic TEXT, /rename NAME     change the channel (owners)",
  "/add USER…, /remove USER…     change who is in it (owners)",
  "/who, /channels         who is online among those seen here; where you are, and what is unread",
  "/leave                  leave the channel",
  "/help, /quit            this list; end",
  "",
  "Tab, Ctrl-N, Ctrl-P  next and previous channel      PgUp, PgDn  older and newer messages",
  "Ctrl-A Ctrl-E  begin and end of line                Ctrl-W Ctrl-U Ctrl-K Ctrl-Y  cut and paste",
  "Up, Down  what you wrote before                     Alt-Enter  a new line in the message",
  "⋯ sending   ✓ sent   ✓✓ read by all others   ! failed",
  "Esc  close this, go to the newest message           Ctrl-C  end"
]

export const commandNames: ReadonlyArray<string> =
  "/join /create /dm /edit /delete /retry /discard /unread /topic /rename /add /remove /who /channels /leave /help /quit".split(
    " "
  )

const channelPattern = /^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const userPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const mentionPattern = /(?<![A-Za-z0-9_@])@([A-Za-z0-9][A-Za-z0-9_-]{0,63})/g
const mentionsMax = 64

/** Users named with `@`; whether they are members the caller knows better, if anybody does. */
export const mentionsIn = (text: string): ReadonlyArray<string> =>
  [...new Set(Array.from(text.matchAll(mentionPattern), ([, user]) => user ?? ""))].slice(0, mentionsMax)

/** `lobby` is `public:lobby`; what has a type keeps it. Undefined: it can't be an id. */
export const channelIdOf = (name: string, type: string): string | undefined => {
  const id = name.includes(":") ? name : `${type}:${name.replace(/^#/, "").replace(/\s+/g, "-")}`
  return channelPattern.test(id) ? id : undefined
}

/** The channel of two users: both get the same id, whoever begins. */
export const directChannelOf = (one: string, other: string): string =>
  `dm:${createHash("sha256")
    .update(JSON.stringify([one, other].toSorted()))
    .digest("hex")
    .slice(0, 32)}`

export const parseCommand = (line: string): Command => {
  if (line.trim() === "") return wrong("There is nothing to send.")
  if (!line.startsWith("/") || line.startsWith("//")) {
    const text = line.startsWith("//") ? line.slice(1) : line
    return { _tag: "Say", text, mentions: mentionsIn(text) }
  }
  const [, name = "", rest = ""] = /^\/(\S*)\s*([\s\S]*)$/.exec(line) ?? []
  const argument = rest.trim()
  return parse(name.toLowerCase(), argument, argument === "" ? [] : argument.split(/[\s,]+/))
}

const wrong = (why: string): Command => ({ _tag: "Wrong", why })

const parse = (name: string, argument: string, words: ReadonlyArray<string>): Command => {
  const [first = "", ...others] = words
  switch (name) {
    case "join": {
      const channel = channelIdOf(argument, "public")
      return channel === undefined ? wrong("Which channel? /join CHANNEL") : { _tag: "Join", channel }
    }
    case "create":
      return create(first, others)
    case "dm":
      return isUser(first) && others.length === 0 ? { _tag: "Direct", user: bare(first) } : wrong("Whom? /dm USER")
    case "edit":
      return { _tag: "Edit", text: argument === "" ? null : argument }
    case "topic":
      return { _tag: "Topic", text: argument }
    case "rename":
      return argument === "" ? wrong("What is its name? /rename NAME") : { _tag: "Rename", text: argument }
    case "add":
    case "remove":
      if (words.length === 0 || !words.every(isUser)) return wrong(`Whom? /${name} USER…`)
      return { _tag: name === "add" ? "Add" : "Remove", members: words.map(bare) }
    default:
      return simple.get(name) ?? wrong(`There is no /${name}. /help says what there is.`)
  }
}

const simple: ReadonlyMap<string, Command> = new Map([
  ["delete", { _tag: "Delete" }],
  ["retry", { _tag: "Retry" }],
  ["discard", { _tag: "Discard" }],
  ["unread", { _tag: "Unread" }],
  ["leave", { _tag: "Leave" }],
  ["help", { _tag: "Help" }],
  ["who", { _tag: "Who" }],
  ["channels", { _tag: "Channels" }],
  ["quit", { _tag: "Quit" }],
  ["exit", { _tag: "Quit" }]
])

const bare = (user: string): string => user.replace(/^@/, "")
const isUser = (user: string): boolean => userPattern.test(bare(user))

const create = (name: string, members: ReadonlyArray<string>): Command => {
  const channel = channelIdOf(name, members.length === 0 ? "public" : "group")
  if (channel === undefined || !members.every(isUser)) return wrong("How is it called? /create NAME [USER…]")
  return {
    _tag: "Create",
    channel,
    name: name.slice(name.indexOf(":") + 1).replace(/^#/, ""),
    members: members.map(bare)
  }
}
