/**
 * The data directory of a server that was alone and has all that one can have: history of two generations with edits and
 * deletes, members that came and went, users, sessions, cursors, mentions, client ids, parked events, a log whose last
 * records no consumer has read.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { encodeParked } from "@parley/actors/fanout/Parking"
import type { Entry } from "@parley/actors/log/Entry"
import { encodeBody, encodeRecord, noHash, noPlace, type RecordKind } from "@parley/actors/log/Record"
import { toWire } from "@parley/protocol/WireText"
import type { AppendOutcome } from "@parley/storage/EventLog"
import type { StoredEvent } from "@parley/storage/MessageStore"
import type { ParkedEvent } from "@parley/storage/ParkedEvents"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
import { layer as layerSqliteStores } from "@parley/storage/sqlite/SqliteStores"
import { logFile, storeFile } from "../../src/EmbeddedFiles.ts"
import { stores, type Stores } from "../../src/migrate/Stores.ts"

export const team = "group:team"
export const quiet = "group:quiet"
export const shards = 4
/** Epoch record, events that are stored, a full checkpoint, events that are not stored yet. */
export const records = 4

const idOf = (at: number, number: number): string => {
  const hex = at.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${number.toString(16).padStart(12, "0")}`
}

/** A channel's events as its owner makes them. */
class Channel {
  readonly events: Array<StoredEvent> = []
  readonly #id: string
  #n = 0

  constructor(id: string) {
    this.#id = id
  }

  add(
    kind: string,
    seq: number,
    fields: Readonly<Record<string, unknown>> & { target?: number },
    generation = 1
  ): this {
    const at = Date.now() - 60_000 + seq
    const cid = idOf(at, seq * 10 + generation)
    if (kind === "message") this.#n++
    const own = kind === "message" ? { n: this.#n } : {}
    this.events.push({
      channel: this.#id,
      generation,
      seq,
      kind,
      at,
      by: "ann",
      cid,
      bodyHash: `hash ${seq} ${generation}`,
      n: this.#n,
      target: fields.target ?? 0,
      body: toWire(JSON.stringify({ seq, at, by: "ann", kind, cid, ...own, ...fields }))
    })
    return this
  }
}

const history = (): ReadonlyArray<StoredEvent> => [
  ...new Channel(team)
    .add("created", 1, { members: ["ann", "bob"] })
    .add("message", 2, { text: "one grüße", mentions: ["bob"] })
    .add("message", 3, { text: "two" })
    .add("edit", 4, { target: 2, text: "one, edited" })
    .add("message", 5, { text: "three" })
    .add("delete", 6, { target: 5 })
    // A restore went back to 6: what was 7 and 8 is another event now, and what was 9 is gone from the sequence.
    .add("message", 7, { text: "void" })
    .add("message", 8, { text: "void as well" })
    .add("message", 9, { text: "beyond" })
    .add("message", 7, { text: "again" }, 2)
    .add("edit", 8, { target: 7, text: "again, edited" }, 2).events,
  ...new Channel(quiet).add("created", 1, { members: ["ann"] }).add("message", 2, { text: "hush" }).events
]

export const parkedEvent = (seq: number, why: string): ParkedEvent => {
  const entry = entryOf(seq, quiet)
  return {
    consumer: persisterConsumer,
    topic: "channel",
    id: quiet,
    generation: 1,
    seq,
    shard: 2,
    kind: "message",
    why,
    parkedAt: 1_790_000_000_000 + seq,
    event: encodeParked(entry)
  }
}

const entryOf = (seq: number, id: string): Entry => ({
  topic: "channel",
  id,
  generation: 2,
  seq,
  kind: "message",
  at: Date.now(),
  by: "ann",
  cid: idOf(Date.now(), 1_000 + seq),
  bodyHash: "0123456789abcdef",
  n: seq,
  target: 0,
  hidden: "",
  body: toWire(JSON.stringify({ seq, kind: "message", text: `logged ${seq}` }))
})

export const layerOld = (directory: string) =>
  layerSqliteStores({ file: join(directory, storeFile) }).pipe(
    Layer.provideMerge(
      SqliteEventLog.layer({
        file: join(directory, logFile),
        softBytes: 64_000_000,
        hardBytes: 80_000_000,
        commitWindowMs: 0,
        synchronous: "FULL"
      })
    )
  )

/** Made, and closed again. */
export const makeOldDirectory = (directory: string) =>
  Effect.gen(function* () {
    yield* DataDirectoryLock.acquire(directory)
    writeFileSync(join(directory, "shards.json"), `{"shards":${shards}}\n`)
    yield* Effect.flatMap(stores, fill).pipe(Effect.provide(layerOld(directory), { local: true }))
  }).pipe(Effect.scoped)

const fill = Effect.fnUntraced(function* ({ cursors, directory, inbox, log, messages, parked }: Stores) {
  yield* messages.write(history())
  yield* directory.writeMembers([
    { channel: team, user: "ann", role: "owner", from: 1, to: null, seq: 1 },
    { channel: team, user: "bob", role: "member", from: 1, to: 3, seq: 3 },
    { channel: team, user: "bob", role: "member", from: 6, to: null, seq: 6 },
    { channel: quiet, user: "ann", role: "owner", from: 1, to: null, seq: 1 }
  ])
  const row = { topic: "", fanout: "write", createdAt: 5, idBound: 0 } as const
  yield* directory.writeChannels([
    { ...row, channel: team, generation: 2, seq: 8, n: 7, name: "Team", members: 2 },
    { ...row, channel: quiet, generation: 1, seq: 2, n: 1, name: "Quiet", members: 1 }
  ])
  yield* directory.putUser({ user: "ann", name: "Ann", createdAt: 1 })
  yield* directory.putUser({ user: "carl", name: "Carl, who is nowhere", createdAt: 2 })
  yield* directory.writeSessions(
    ["ann", "bob"].map((user, at) => ({ user, generation: 1, userSeq: 3 + at, state: Uint8Array.of(0, 255, at) }))
  )
  yield* cursors.merge("ann", [
    { channel: team, position: { generation: 4, seq: 2 } },
    { channel: quiet, position: { generation: 0, seq: 1 } }
  ])
  yield* inbox.addMentions([
    { user: "bob", channel: team, seq: 2, at: 2 },
    { user: "ann", channel: team, seq: 3, at: 3 }
  ])
  yield* inbox.removeMentions([{ user: "ann", channel: team, seq: 3, at: 4 }])
  yield* parked.put([parkedEvent(3, "its text is nothing that Cassandra takes"), parkedEvent(4, "")])
  yield* fillLog(log)
})

const fillLog = Effect.fnUntraced(function* (log: Stores["log"]) {
  let previous = noHash
  let last = 0
  let checkpoint = noPlace
  const add = Effect.fnUntraced(function* (number: number, kind: RecordKind, entries: ReadonlyArray<Entry>) {
    const header = { kind, shard: 2, epoch: 3, number, previous, checkpoint, full: checkpoint }
    const sealed = kind === "events" ? encodeRecord(header, entries) : encodeBody(header, Uint8Array.of(number))
    const outcome = yield* Effect.callback<AppendOutcome>((resume) =>
      log.append({
        shard: 2,
        expectedLast: last,
        seal: () => sealed.bytes,
        reserved: false,
        settle: (it) => resume(Effect.succeed(it))
      })
    )
    if (outcome._tag !== "Committed") throw new Error(`not appended: ${outcome._tag}`)
    last = outcome.position
    previous = sealed.hash
    if (kind === "full") checkpoint = { position: last, number }
  })
  yield* add(1, "epoch", [])
  yield* add(2, "events", [entryOf(2, quiet)])
  yield* log.setConsumerPosition(persisterConsumer, 2, last)
  yield* add(3, "full", [])
  yield* add(records, "events", [entryOf(3, quiet)])
})
