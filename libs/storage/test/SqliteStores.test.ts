/** The SQLite stores keep the contracts of their seams; what is theirs alone: reopening, refusing, syncing, bounds. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option } from "effect"
import {
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
  closeSync,
  statSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { ChannelStore } from "../src/ChannelStore.ts"
import { CursorStore } from "../src/CursorStore.ts"
import { type ChannelRow, Directory } from "../src/Directory.ts"
import { Inbox } from "../src/Inbox.ts"
import { MessageStore } from "../src/MessageStore.ts"
import { layer } from "../src/sqlite/SqliteStores.ts"
import { StoreSync } from "../src/StoreSync.ts"
import { channelStoreContract } from "./ChannelStoreContract.ts"
import { cursorStoreContract } from "./CursorStoreContract.ts"
import { directoryContract } from "./DirectoryContract.ts"
import { inboxContract } from "./InboxContract.ts"
import { freshChannel, History } from "./History.ts"
import { messageStoreContract } from "./MessageStoreContract.ts"
import { parkedEventsContract } from "./ParkedEventsContract.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-store-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)
const temporaryFile = Effect.map(temporaryDirectory, (directory) => join(directory, "store.sqlite"))
const temporaryLayer = Layer.unwrap(Effect.map(temporaryFile, (file) => layer({ file })))

messageStoreContract("SQLite", temporaryLayer)
cursorStoreContract("SQLite", temporaryLayer)
directoryContract("SQLite", temporaryLayer)
inboxContract("SQLite", temporaryLayer)
parkedEventsContract("SQLite", temporaryLayer)
channelStoreContract("SQLite", temporaryLayer)

type Stores = Layer.Success<typeof temporaryLayer>
/** One run of the server over `file`. */
const session = <A, E>(file: string, effect: Effect.Effect<A, E, Stores>) =>
  Effect.provide(effect, layer({ file }), { local: true })

const everything = { after: 0, before: 1e12, limit: 100, newest: true }

const fillStores = (history: History) =>
  Effect.gen(function* () {
    yield* (yield* MessageStore).write([history.message(1, "один"), history.message(2, "two"), history.delete(3, 2)])
    yield* (yield* CursorStore).merge("ann", [{ channel: history.channel, position: { generation: 2, seq: 1 } }])
    yield* (yield* Inbox).addMentions([{ user: "ann", channel: history.channel, seq: 2, at: 2 }])
    yield* (yield* Directory).putUser({ user: "ann", name: "Ann", createdAt: 1 })
  })

const readStores = (history: History) =>
  Effect.gen(function* () {
    return {
      messages: yield* (yield* MessageStore).messages(history.channel, everything),
      head: yield* (yield* MessageStore).head(history.channel),
      cursors: yield* (yield* CursorStore).read("ann"),
      mentions: yield* (yield* Inbox).countMentions("ann", history.channel, 0, 10),
      user: yield* (yield* Directory).user("ann")
    }
  })

describe("SQLite stores", () => {
  it.effect("keep everything over a restart", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const before = yield* session(file, Effect.andThen(fillStores(history), readStores(history)))
      const after = yield* session(file, readStores(history))
      assert.strictEqual(before.messages.length, 2)
      assert.strictEqual(before.mentions, 1)
      assert.deepStrictEqual(after, before)
    })
  )

  it.effect("†26 tell what they never take from what they can't take now", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const error = yield* Effect.flip(
        session(
          file,
          Effect.gen(function* () {
            yield* (yield* MessageStore).write([
              history.message(1, "fits"),
              { ...history.message(2, "no"), seq: 2 ** 41 }
            ])
          })
        )
      )
      assert.strictEqual(error._tag, "StoreRefused")
      // Also what only SQLite itself does not take: its columns hold whole numbers.
      const row = { user: "ann", generation: 1.5, userSeq: 1, state: new Uint8Array(1) }
      const byFile = yield* Effect.flip(
        session(
          file,
          Effect.flatMap(Directory, (directory) => directory.writeSessions([row]))
        )
      )
      assert.strictEqual(byFile._tag, "StoreRefused")
      // Nothing of the call was written.
      const { messages } = yield* session(file, readStores(history))
      assert.deepStrictEqual(messages, [])
    })
  )

  it.effect.skipIf(process.platform !== "linux")("write in a thread that gives way to all others", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const niceness = (tid: string): readonly [name: string, nice: number] => {
        const stat = readFileSync(`/proc/self/task/${tid}/stat`, "utf8")
        // The name stands in brackets and may have any chars; niceness is the 17th field after it.
        const [name = "", rest = ""] = [
          stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")),
          stat.slice(stat.lastIndexOf(")") + 2)
        ]
        return [name, Number(rest.split(" ")[16])]
      }
      const threads = yield* session(
        file,
        Effect.sync(() => readdirSync("/proc/self/task").map(niceness))
      )
      const [own] = niceness(String(process.pid)).slice(1)
      const of = (role: string) => threads.filter(([name]) => name === `store-${role}`).map(([, nice]) => nice)
      assert.isNotEmpty(of("write"))
      for (const nice of of("write")) assert.strictEqual(nice, Math.max(5, Number(own)))
      for (const nice of of("read")) assert.strictEqual(nice, own)
    })
  )

  it.effect("refuse a file that is no database, and leave it as it is", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      writeFileSync(file, "these are not the bytes you are looking for ".repeat(200))
      const before = readFileSync(file)
      const error = yield* Effect.flip(session(file, Effect.void))
      assert.strictEqual(error._tag, "DataDirectoryDamaged")
      assert.isTrue(before.equals(readFileSync(file)))
    })
  )

  it.effect("refuse somebody else's database", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const db = new DatabaseSync(file)
      db.exec("CREATE TABLE recipes (name TEXT)")
      db.close()
      const before = readFileSync(file)
      const error = yield* Effect.flip(session(file, Effect.void))
      assert.strictEqual(error._tag, "DataDirectoryDamaged")
      assert.isTrue(before.equals(readFileSync(file)))
    })
  )

  it.effect("refuse a file with a damaged page", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const text = "x".repeat(2_000)
      const events = Array.from({ length: 300 }, (_, i) => history.message(i + 1, text))
      yield* session(
        file,
        Effect.flatMap(MessageStore, (it) => it.write(events))
      )
      const fd = openSync(file, "r+")
      writeSync(fd, Buffer.alloc(8_192, 0xa5), 0, 8_192, Math.floor(statSync(file).size / 8_192) * 4_096)
      closeSync(fd)
      const error = yield* Effect.flip(session(file, Effect.void))
      assert.strictEqual(error._tag, "DataDirectoryDamaged")
    })
  )

  it.effect("refuse a file of a newer version by a sentence that says so", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* session(file, Effect.void)
      const db = new DatabaseSync(file)
      db.exec("INSERT INTO migrations VALUES (999, 'from the future', 0)")
      db.close()
      const error = yield* Effect.flip(session(file, Effect.void))
      assert.strictEqual(error._tag, "StoreFileNewer")
      assert.include(error.message, "999")
    })
  )

  it.effect("say why a file can't be opened", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const error = yield* Effect.flip(session(join(directory, "nowhere", "store.sqlite"), Effect.void))
      assert.strictEqual(error._tag, "StoreUnavailable")
    })
  )

  it.effect("a write that fails leaves nothing behind, and the next one works", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      yield* session(
        file,
        Effect.gen(function* () {
          const store = yield* MessageStore
          const bad = { ...history.message(2, "b"), seq: 2 ** 45 }
          const error = yield* Effect.flip(store.write([history.message(1, "a"), bad]))
          assert.strictEqual(error._tag, "StoreRefused")
          assert.isTrue(Option.isNone(yield* store.head(history.channel)))
          yield* store.write([history.message(1, "a")])
          assert.strictEqual((yield* store.messages(history.channel, everything)).length, 1)
        })
      )
    })
  )

  it.effect("a channel whose first write failed does not take another channel's rows", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* session(
        file,
        Effect.gen(function* () {
          const directory = yield* Directory
          const [failed, other] = [freshChannel(), freshChannel()]
          const stay = (channel: string, from: number) =>
            ({ channel, user: "ann", role: "member", from, to: null, seq: from }) as const
          const rows = [stay(failed, 1), stay(failed, 2), { ...stay(failed, 3), seq: Number.NaN }]
          yield* Effect.flip(directory.writeMembers(rows))
          yield* directory.writeMembers([stay(other, 7)])
          yield* directory.writeMembers([stay(failed, 9)])
          assert.deepStrictEqual(yield* directory.membership(other, "ann"), [stay(other, 7)])
          assert.deepStrictEqual(yield* directory.membership(failed, "ann"), [stay(failed, 9)])
        })
      )
    })
  )

  it.effect("channels keep their keys, and a key of a write that failed is given to the next channel", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const written: Array<string> = []
      for (let start = 0; start < 3; start++) {
        yield* session(
          file,
          Effect.gen(function* () {
            const store = yield* MessageStore
            for (let i = 0; i < 3; i++) {
              const [history, failed] = [new History(), new History()]
              yield* Effect.flip(
                store.write([failed.message(1, "a"), { ...new History().message(2, "b"), seq: 2 ** 45 }])
              )
              yield* store.write([history.message(1, "a")])
              written.push(history.channel)
            }
          })
        )
      }
      const db = new DatabaseSync(file, { readOnly: true })
      const kept = db.prepare("SELECT id, key FROM channels ORDER BY key").all()
      db.close()
      assert.deepStrictEqual(
        kept.map(({ id, key }) => [id, key]),
        written.map((channel, at) => [channel, at + 1])
      )
    })
  )

  it.effect("a small channel wakes with its stays out of its own row, a larger one out of the table of members", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const row = { generation: 1, seq: 1, n: 0, name: "", topic: "", createdAt: 1, members: 1, idBound: 0 }
      const channels = [freshChannel(), freshChannel(), freshChannel()]
      const users = [["ann", "ben"], Array.from({ length: 33 }, (_, at) => `u${at}`), ["a".repeat(400)]]
      const stays = channels.map((channel, at) =>
        (users[at] ?? []).map((user) => ({ channel, user, role: "member" as const, from: 1, to: null, seq: 1 }))
      )
      const load = Effect.flatMap(ChannelStore, (store) =>
        store.load({ channels, newestSeqs: [1, 1, 1], staysMax: 100 })
      )
      const before = yield* session(
        file,
        Effect.gen(function* () {
          const directory = yield* Directory
          yield* directory.writeChannels(channels.map((channel) => ({ channel, ...row, fanout: "write" as const })))
          yield* directory.writeMembers(stays.flat())
          return yield* load
        })
      )
      assert.sameDeepMembers(
        before.flatMap((it) => it?.stays ?? []),
        stays.flat()
      )
      const db = new DatabaseSync(file)
      db.exec("DELETE FROM members")
      db.close()
      // What is still found was not looked for there.
      const after = yield* session(file, load)
      assert.deepStrictEqual(
        after.map((it) => it?.stays?.length),
        [2, 0, 0]
      )
    })
  )

  it.effect("answer StoreUnavailable past the bound of waiting calls, and serve those below it", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* session(
        file,
        Effect.gen(function* () {
          const directory = yield* Directory
          const puts = Array.from({ length: 400 }, (_, i) =>
            Effect.exit(directory.putUser({ user: `u${i}`, name: "n", createdAt: 1 }))
          )
          const exits = yield* Effect.all(puts, { concurrency: "unbounded" })
          assert.isTrue(exits.some(Exit.isFailure))
          for (const [i, exit] of exits.entries()) {
            assert.strictEqual(Option.isSome(yield* directory.user(`u${i}`)), Exit.isSuccess(exit))
          }
        })
      )
    })
  )

  it.effect("WRITE-BEHIND-SAFE: a sync succeeds after writes and as often as it is asked", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* session(
        file,
        Effect.gen(function* () {
          const { sync } = yield* StoreSync
          yield* sync
          yield* fillStores(new History(freshChannel()))
          yield* sync
          yield* sync
        })
      )
    })
  )

  it.effect("†16 keep no text of what was deleted in any row, whatever came first", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const events = [history.message(1, "secret"), history.edit(2, 1, "secret"), history.delete(3, 1)]
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
        [2, 0, 1]
      ]) {
        const channel = freshChannel()
        const ordered = order.flatMap((i) => events.slice(i, i + 1)).map((it) => ({ ...it, channel }))
        yield* session(
          file,
          Effect.flatMap(MessageStore, (store) => Effect.forEach(ordered, (it) => store.write([it]), { discard: true }))
        )
      }
      const db = new DatabaseSync(file, { readOnly: true })
      const texts = db
        .prepare("SELECT body FROM texts UNION ALL SELECT edit FROM texts UNION ALL SELECT body FROM channel_events")
        .all()
        // Reason for `as`: both columns are blobs.
        .map((row) => Buffer.from(row["body"] as Uint8Array).toString())
      db.close()
      assert.strictEqual(texts.length, 16)
      assert.deepStrictEqual(
        texts.filter((it) => it.includes("secret")),
        []
      )
    })
  )

  it.effect("plain messages of steps write no row of their channel, any other event does", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const { channel } = history
      const created = history.added(1)
      const row: ChannelRow = {
        channel,
        generation: 1,
        seq: 1,
        n: 0,
        name: "",
        topic: "",
        fanout: "write",
        createdAt: 1,
        members: 1,
        idBound: 0
      }
      const writes = [
        { events: [created], rows: [row] },
        { events: [history.message(2, "m"), history.message(3, "m")], rows: [] },
        { events: [history.message(4, "m", { generation: 2 })], rows: [] },
        { events: [5, 6, 7].map((seq) => history.message(seq, "m", { generation: 2 })), rows: [] },
        { events: [history.edit(8, 7, "e", { generation: 2 })], rows: [] },
        { events: [history.message(2_000, "m", { generation: 2 })], rows: [] }
      ]
      const written: Array<unknown> = []
      for (const { events, rows } of writes) {
        const step = { events, rows, named: [], taken: [], members: [] }
        const [head] = yield* session(
          file,
          Effect.gen(function* () {
            yield* (yield* ChannelStore).write(step)
            const head = Option.getOrThrow(yield* (yield* MessageStore).head(channel))
            const { generation, n, seq } = Option.getOrThrow(yield* (yield* Directory).channel(channel))
            assert.deepStrictEqual({ generation, seq, n }, head)
            return [head.seq]
          })
        )
        const db = new DatabaseSync(file, { readOnly: true })
        written.push([head, db.prepare("SELECT head_seq FROM channels").get()?.["head_seq"]])
        db.close()
      }
      assert.deepStrictEqual(written, [
        [1, 1],
        [3, 1],
        [4, 4],
        [7, 4],
        [8, 8],
        [2_000, 8]
      ])
    })
  )

  it.effect("counts by block equal a recount from the rows", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const history = new History()
      const events = Array.from({ length: 60 }, (_, i) =>
        history.message(((i * 397) % 6_000) + 1, "m", { by: `u${i % 7}` })
      )
      const deletes = events.filter((_, i) => i % 5 === 0).map((it, i) => history.delete(7_000 + i, it.seq))
      const all = [...events, ...deletes, ...events.filter((_, i) => i % 2 === 0)]
      yield* session(
        file,
        Effect.flatMap(MessageStore, (store) => Effect.forEach(all, (it) => store.write([it]), { discard: true }))
      )
      const db = new DatabaseSync(file, { readOnly: true })
      const recount = db
        .prepare(`
        SELECT (id & 1099511627775) / 1024 AS block, sender, count(*) AS messages FROM messages
        WHERE created >= 0 AND delete_generation < created GROUP BY 1, 2 ORDER BY 1, 2`)
        .all()
      const kept = db
        .prepare("SELECT block, sender, messages FROM block_senders WHERE messages <> 0 ORDER BY 1, 2")
        .all()
      const totals = db.prepare("SELECT sum(messages) AS n FROM block_counts").get()
      db.close()
      assert.deepStrictEqual(kept, recount)
      assert.strictEqual(
        totals?.["n"],
        recount.reduce((sum, row) => sum + Number(row["messages"]), 0)
      )
    })
  )
})
