/**
 * What commands do, on the client; the same for the full screen and for plain lines. The shell tells where the person
 * is and shows the outcome.
 */
import type { ChatClient } from "@parley/client/ChatClient"
import type { Sent } from "@parley/client/Outbox"
import { MutationFailed } from "@parley/client/OutboxEntry"
import { type Command, directChannelOf } from "./Commands.ts"

export interface ChatShell {
  readonly client: ChatClient
  current(): string
  go(channel: string): void
  notice(text: string, alarm?: boolean): void
  /** Puts text into the input, where there is one to put it into. */
  edit(text: string): void
  help(): void
  quit(): void
}

export const runCommand = async (shell: ChatShell, command: Command): Promise<void> => {
  const { client } = shell
  const channel = shell.current()
  const view = client.channel(channel)
  switch (command._tag) {
    case "Say":
      return say(shell, command.text, command.mentions)
    case "Join":
      return enter(shell, command.channel)
    case "Create":
      return make(shell, command.channel, command.name, command.members)
    case "Direct": {
      const id = directChannelOf(client.user, command.user)
      return make(shell, id, [client.user, command.user].toSorted().join(" & "), [command.user])
    }
    case "Edit": {
      const mine = newestBy(shell, (by) => by === client.user)
      if (mine === undefined) return shell.notice("There is no message of yours here to edit.", true)
      if (command.text === null) return shell.edit(`/edit ${mine.text}`)
      return outcome(shell, view.edit(mine.seq, command.text))
    }
    case "Delete": {
      const mine = newestBy(shell, (by) => by === client.user)
      if (mine === undefined) return shell.notice("There is no message of yours here to delete.", true)
      return outcome(shell, view.delete(mine.seq))
    }
    case "Retry":
    case "Discard": {
      const failed = view.snapshot().messages.find(({ state }) => state === "failed")
      if (failed === undefined) return shell.notice("No message has failed here.")
      if (command._tag === "Retry") return view.retry(failed.key)
      view.discard(failed.key)
      return
    }
    case "Unread": {
      const newest = newestBy(shell, (by) => by !== client.user)
      if (newest === undefined) return shell.notice("There is nothing here to mark unread.")
      return outcome(shell, view.markUnread(newest.seq - 1), "Marked unread.")
    }
    case "Leave":
      return outcome(shell, client.leave(channel), `You left ${channel}.`)
    case "Add":
      return outcome(shell, client.addMembers(channel, command.members))
    case "Remove":
      return outcome(shell, client.removeMembers(channel, command.members))
    case "Topic":
      return outcome(shell, view.update({ topic: command.text }))
    case "Rename":
      return outcome(shell, view.update({ name: command.text }))
    case "Who":
      return shell.notice(whoText(client))
    case "Channels":
      return shell.notice(channelsText(client))
    case "Help":
      return shell.help()
    case "Quit":
      return shell.quit()
    case "Wrong":
      return shell.notice(command.why, true)
  }
}

/** Users seen anywhere: authors, and members of small channels. The client bounds them by what presence can follow. */
export const usersSeen = (client: ChatClient): ReadonlySet<string> => {
  const users = new Set<string>()
  for (const { channel, last } of client.channels.snapshot().channels) {
    if (last !== null) users.add(last.by)
    const { messages, receipts } = client.channel(channel).snapshot()
    for (const { by } of messages) users.add(by)
    for (const { user } of receipts ?? []) users.add(user)
  }
  users.delete(client.user)
  return users
}

export const onlineUsers = (client: ChatClient): ReadonlyArray<string> =>
  [...client.presence.snapshot()]
    .filter(([, { state }]) => state !== "offline")
    .map(([user]) => user)
    .toSorted()

const whoText = (client: ChatClient): string => {
  const online = onlineUsers(client)
  return online.length === 0 ? "Nobody else of those seen here is online." : `Online: ${online.join(", ")}`
}

const channelsText = (client: ChatClient): string =>
  client.channels
    .snapshot()
    .channels.map(({ channel, mentions, unread }) => {
      const named = mentions === 0 ? "" : ` (${mentions} for you)`
      return unread === 0 ? channel : `${channel} ${unread} unread${named}`
    })
    .join(", ")

/** The newest message here that has a place and is not deleted. */
const newestBy = (
  shell: ChatShell,
  by: (user: string) => boolean
): { readonly seq: number; readonly text: string } | undefined => {
  for (const message of shell.client.channel(shell.current()).snapshot().messages.toReversed()) {
    const { seq, text } = message
    if (seq !== null && !message.deleted && by(message.by)) return { seq, text }
  }
  return undefined
}

/** Who is no member must not be named: then the message goes without mentions rather than not at all. */
const say = async (shell: ChatShell, text: string, mentions: ReadonlyArray<string>): Promise<void> => {
  const view = shell.client.channel(shell.current())
  const sent = view.send(text, { mentions })
  const failure = await failureOf(sent)
  if (failure?.code === "invalid" && mentions.length > 0 && view.discard(sent.cid)) view.send(text)
}

/** Into a channel: as a member already, by joining, or, where it is nowhere, with the command that makes it. */
export const enter = async (shell: ChatShell, channel: string): Promise<void> => {
  const { client } = shell
  if (client.channel(channel).snapshot().status === "member") return shell.go(channel)
  const failure = await failureOf(client.join(channel))
  if (failure === undefined || failure.code === "conflict") return shell.go(channel)
  if (failure.code === "not_found") shell.notice(`There is no ${channel} that you may join. /create makes one.`, true)
  else shell.notice(failure.message, true)
}

/** The channel where everybody meets: made by whoever comes first, joined by the others. */
export const meet = async (client: ChatClient, channel: string, name: string): Promise<MutationFailed | undefined> => {
  if (client.channel(channel).snapshot().status === "member") return undefined
  const joined = await failureOf(client.join(channel))
  if (joined?.code !== "not_found") return joined?.code === "conflict" ? undefined : joined
  const created = await failureOf(client.create(channel, { name }))
  if (created?.code !== "conflict") return created
  // Somebody was faster.
  const again = await failureOf(client.join(channel))
  return again?.code === "conflict" ? undefined : again
}

const make = async (shell: ChatShell, channel: string, name: string, members: ReadonlyArray<string>): Promise<void> => {
  const { client } = shell
  if (client.channel(channel).snapshot().status === "member") return shell.go(channel)
  const failure = await failureOf(
    client.create(channel, { name, members: members.filter((user) => user !== client.user) })
  )
  if (failure === undefined) return shell.go(channel)
  if (failure.code === "conflict") return enter(shell, channel)
  shell.notice(failure.message, true)
}

const outcome = async (shell: ChatShell, sent: Sent, done?: string): Promise<void> => {
  const failure = await failureOf(sent)
  if (failure !== undefined) shell.notice(failure.message, true)
  else if (done !== undefined) shell.notice(done)
}

const failureOf = async ({ done }: Sent): Promise<MutationFailed | undefined> => {
  try {
    await done
    return undefined
  } catch (error) {
    if (error instanceof MutationFailed) return error
    throw error
  }
}
