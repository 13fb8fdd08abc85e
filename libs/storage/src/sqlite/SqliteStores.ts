/**
 * The stores behind the log in one SQLite file (the embedded server's): history, directory, cursors, mentions, parked events; inboxes are in memory. One
 * thread writes, one transaction a call; another reads, so that a page of history waits neither for the event loop nor
 * for a large write. Writes are not synced one by one: the log keeps them until `StoreSync.sync` (WRITE-BEHIND-SAFE).
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { dirname } from "node:path"
import { type ChannelLoad, ChannelStore, loadChannelsMax } from "../ChannelStore.ts"
import { CursorStore } from "../CursorStore.ts"
import { DataDirectoryDamaged } from "../DataDirectory.ts"
import { Directory, originsAt } from "../Directory.ts"
import { Inbox } from "../Inbox.ts"
import { ActiveChannels, inboxesOf } from "../memory/MemoryInbox.ts"
import { MessageStore } from "../MessageStore.ts"
import { ParkedEvents } from "../ParkedEvents.ts"
import { StoreUnavailable } from "../StoreError.ts"
import { StoreSync } from "../StoreSync.ts"
import { packEvents } from "./EventColumns.ts"
import { packStep, readChannels } from "./SqliteChannelStore.ts"
import type { ReaderCalls, WriterCalls } from "./StoreCalls.ts"
import type { OpenFailure } from "./StoreFile.ts"
import { makeStoreThread, type StoreThread } from "./StoreThread.ts"

/** The file was written by a newer Parley. It is left as it is. */
export class StoreFileNewer extends Schema.TaggedError<StoreFileNewer>()("StoreFileNewer", {
  file: Schema.String,
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message() {
    return (
      `${this.file} was written by a newer Parley (schema ${this.found}, this one knows up to ${this.known}): ` +
      "start the newer version again, or restore the backup from before the upgrade"
    )
  }
}

/** Calls that may wait for a thread; more are answered StoreUnavailable. */
const writesPendingMax = 256
const readsPendingMax = 1_024
/** Rows one write call carries; a larger write is several transactions, which readers may see between. */
const rowsPerCallMax = 1_000

export type StoreOpenError = DataDirectoryDamaged | StoreFileNewer | StoreUnavailable

const openError =
  (file: string) =>
  (failure: OpenFailure): StoreOpenError => {
    switch (failure._tag) {
      case "Damaged":
        return new DataDirectoryDamaged({ directory: dirname(file), what: failure.what })
      case "Newer":
        return new StoreFileNewer({ file, found: failure.found, known: failure.known })
      case "Unavailable":
        return new StoreUnavailable({ store: "sqlite", cause: new Error(failure.cause) })
    }
  }

const inParts = <Row, E>(
  rows: ReadonlyArray<Row>,
  write: (part: ReadonlyArray<Row>) => Effect.Effect<void, E>
): Effect.Effect<void, E> => {
  if (rows.length === 0) return Effect.void
  if (rows.length <= rowsPerCallMax) return write(rows)
  const parts: Array<ReadonlyArray<Row>> = []
  for (let at = 0; at < rows.length; at += rowsPerCallMax) parts.push(rows.slice(at, at + rowsPerCallMax))
  return Effect.forEach(parts, write, { discard: true })
}

/** A load in questions that are asked together and answered one after the other, so that others come between. */
const inQuestions = (load: ChannelLoad): ReadonlyArray<ChannelLoad> => {
  const { channels, newestSeqs, staysMax } = load
  if (channels.length <= loadChannelsMax) return [load]
  const parts: Array<ChannelLoad> = []
  for (let at = 0; at < channels.length; at += loadChannelsMax) {
    const end = at + loadChannelsMax
    parts.push({ channels: channels.slice(at, end), newestSeqs: newestSeqs.slice(at, end), staysMax })
  }
  return parts
}

const optional = <A>(
  effect: Effect.Effect<A | null, StoreUnavailable>
): Effect.Effect<Option.Option<A>, StoreUnavailable> => Effect.map(effect, Option.fromNullOr)

type Writer = StoreThread<WriterCalls>
type Reader = StoreThread<ReaderCalls>

const messageStore = (writer: Writer, reader: Reader): MessageStore["Service"] => {
  const forgetIds = (before: number): Effect.Effect<void, StoreUnavailable> =>
    // In bounded steps: other writes come between.
    Effect.flatMap(writer.call("forgetSomeIds", before), (more) => (more ? forgetIds(before) : Effect.void))
  return MessageStore.of({
    write: (events) => inParts(events, (part) => writer.write("writeEvents", packEvents(part))),
    messages: (channel, range) => reader.call("messages", channel, range),
    events: (channel, after, upTo, limit) => reader.call("events", channel, after, upTo, limit),
    countUnread: (channel, after, upTo, user) => reader.call("countUnread", channel, after, upTo, user),
    findId: (channel, sender, cid) => optional(reader.call("findId", channel, sender, cid)),
    forgetIds,
    head: (channel) => optional(reader.call("head", channel)),
    newest: (channel, seqs) => optional(reader.call("newest", channel, seqs))
  })
}

const channelStore = (writer: Writer, reader: Reader): ChannelStore["Service"] =>
  ChannelStore.of({
    // One transaction, however many rows: the caller's steps are bounded.
    write: (step) => writer.write("writeStep", packStep(step)),
    load: (load) => {
      const ask = (part: ChannelLoad) =>
        Effect.map(reader.call("loadChannels", part), (answer) => readChannels(part.channels, answer))
      const parts = inQuestions(load)
      const [only] = parts
      return parts.length === 1 && only !== undefined
        ? ask(only)
        : Effect.map(Effect.forEach(parts, ask, { concurrency: "unbounded" }), (answers) => answers.flat())
    }
  })

const cursorStore = (writer: Writer, reader: Reader): CursorStore["Service"] =>
  CursorStore.of({
    read: (user) => reader.call("cursorsOf", user),
    merge: (user, cursors) => inParts(cursors, (part) => writer.call("mergeCursors", user, part)),
    ofChannel: (channel) => reader.call("cursorsIn", channel)
  })

const directory = (writer: Writer, reader: Reader): Directory["Service"] =>
  Directory.of({
    channel: (channel) => optional(reader.call("channel", channel)),
    channelWithOrigins: (channel) =>
      Effect.map(
        optional(reader.call("channel", channel)),
        Option.map((row) => ({ ...row, origins: originsAt(row) }))
      ),
    channelIds: (after, limit) => reader.call("channelIds", after, limit),
    writeChannels: (rows) => inParts(rows, (part) => writer.write("writeChannels", part)),
    members: (channel, afterUser, limit) => reader.call("members", channel, afterUser, limit),
    membership: (channel, user) => reader.call("membership", channel, user),
    moveChannels: (moves) => inParts(moves, (part) => writer.write("moveChannels", part)),
    writeMembers: (rows) => inParts(rows, (part) => writer.write("writeMembers", part)),
    channelsOf: (user) => reader.call("channelsOf", user),
    session: (user) => optional(reader.call("session", user)),
    writeSessions: (rows) => inParts(rows, (part) => writer.write("writeSessions", part)),
    user: (user) => optional(reader.call("user", user)),
    putUser: (row) => writer.call("putUser", row)
  })

const inbox = (writer: Writer, reader: Reader): Inbox["Service"] =>
  Inbox.of({
    // They order work only, and need not outlive the process.
    ...inboxesOf(new ActiveChannels()),
    addMentions: (mentions) => inParts(mentions, (part) => writer.write("addMentions", part)),
    removeMentions: (mentions) => inParts(mentions, (part) => writer.write("removeMentions", part)),
    countMentions: (user, channel, afterSeq, upTo) => reader.call("countMentions", user, channel, afterSeq, upTo)
  })

const parkedEvents = (writer: Writer, reader: Reader): ParkedEvents["Service"] =>
  ParkedEvents.of({
    put: (events) => inParts(events, (part) => writer.call("putParked", part)),
    remove: (parked) => inParts(parked, (part) => writer.call("removeParked", part)),
    of: (consumer, topic, id, limit) => reader.call("parkedOf", consumer, topic, id, limit),
    list: (limit) => reader.call("listParked", limit),
    entities: (consumer) => reader.call("parkedEntities", consumer)
  })

/** All stores over `file`; the directory must exist. Refuses what is damaged or newer, and changes nothing in it. */
export const layer = (options: {
  readonly file: string
}): Layer.Layer<
  ChannelStore | MessageStore | CursorStore | Directory | Inbox | ParkedEvents | StoreSync,
  StoreOpenError
> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { file } = options
      // The writer first: it creates and migrates the file. Scopes end in reverse, so the last commit is checkpointed.
      const writer = yield* makeStoreThread<WriterCalls>({ file, role: "write", pendingMax: writesPendingMax })
      const reader = yield* makeStoreThread<ReaderCalls>({ file, role: "read", pendingMax: readsPendingMax })
      return Context.make(MessageStore, messageStore(writer, reader)).pipe(
        Context.add(ChannelStore, channelStore(writer, reader)),
        Context.add(CursorStore, cursorStore(writer, reader)),
        Context.add(Directory, directory(writer, reader)),
        Context.add(Inbox, inbox(writer, reader)),
        Context.add(ParkedEvents, parkedEvents(writer, reader)),
        Context.add(StoreSync, StoreSync.of({ sync: writer.call("sync"), periodic: false }))
      )
    }).pipe(Effect.mapError(openError(options.file)))
  )
