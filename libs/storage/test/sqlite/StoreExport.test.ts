/** What a store gives away is what another store has to be written with to answer the same. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Inbox } from "../../src/Inbox.ts"
import { MessageStore, type StoredEvent } from "../../src/MessageStore.ts"
import { exportPageRows, StoreExport } from "../../src/sqlite/StoreExport.ts"
import { layer } from "../../src/sqlite/SqliteStores.ts"
import { History } from "../History.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-export-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)
const exported = (file: string, channel: string): ReadonlyArray<StoredEvent> => {
  using source = new StoreExport(file)
  return [...source.events(channel)].flat()
}
/** Writes them, and what a reader gets then; the file is closed afterwards. */
const writeAndRead = (file: string, events: ReadonlyArray<StoredEvent>) =>
  Effect.gen(function* () {
    const messages = yield* MessageStore
    yield* messages.write(events)
    const [channel = "", upTo = 0] = [events.at(-1)?.channel, events.at(-1)?.seq]
    const range = { after: 0, before: upTo + 1, limit: 2_000, newest: false }
    return {
      head: yield* messages.head(channel),
      messages: yield* messages.messages(channel, range),
      events: yield* messages.events(channel, 0, upTo, 2_000),
      unread: yield* messages.countUnread(channel, 0, upTo, "")
    }
  }).pipe(Effect.provide(layer({ file }), { local: true }))

it.effect("every event as it was stored, with its client id's hash and count, over pages of any mixture", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const history = new History()
    const events: Array<StoredEvent> = []
    // Runs of messages and runs of others, each longer than a page.
    for (let seq = 1; seq <= exportPageRows + 20; seq++) events.push(history.message(seq, `text ${seq} é`))
    for (let seq = events.length + 1, end = seq + exportPageRows + 20; seq < end; seq++) {
      events.push(history.edit(seq, 1 + (seq % 100), `edit ${seq}`))
    }
    events.push(history.delete(events.length + 1, 7), history.message(events.length + 2, "last"))
    const file = join(directory, "a.sqlite")
    const here = yield* writeAndRead(file, events)
    const out = exported(file, history.channel)
    // Texts of the deleted message and of its edits are gone; all else is what it was.
    const plain = ({ target, seq }: StoredEvent) => seq !== 7 && target !== 7
    assert.deepStrictEqual(out.filter(plain), events.filter(plain))
    assert.deepStrictEqual(
      out.map(({ seq }) => seq),
      events.map(({ seq }) => seq)
    )
    assert.deepStrictEqual(yield* writeAndRead(join(directory, "b.sqlite"), out), here)
  })
)

it.effect("mentions with those that were taken away, and the client ids of the window", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const file = join(directory, "a.sqlite")
    const history = new History()
    const { channel } = history
    const event = history.message(1, "one")
    yield* Effect.gen(function* () {
      const [inbox, messages] = [yield* Inbox, yield* MessageStore]
      yield* messages.write([event])
      yield* inbox.addMentions(["ann", "bob"].map((user) => ({ user, channel, seq: 1, at: 1 })))
      yield* inbox.removeMentions([{ user: "bob", channel, seq: 1, at: 2 }])
    }).pipe(Effect.provide(layer({ file }), { local: true }))
    using source = new StoreExport(file)
    assert.sameDeepMembers(
      [...source.mentions()],
      [
        { user: "ann", channel, seq: 1, at: 1, removed: false },
        { user: "bob", channel, seq: 1, at: 2, removed: true }
      ]
    )
    assert.deepStrictEqual(
      [...source.ids(event.at)].map(({ bodyHash, cid, n, seq }) => ({ bodyHash, cid, n, seq })),
      [{ bodyHash: event.bodyHash, cid: event.cid, n: 1, seq: 1 }]
    )
    assert.deepStrictEqual([...source.ids(event.at + 1)], [])
  })
)
