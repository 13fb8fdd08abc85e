/** What a step of the persister makes of rows and members when the one before it failed half-way. */
import { assert, describe, it } from "@effect/vitest"
import { Directory } from "@parley/storage/Directory"
import { layerMemory } from "@parley/storage/memory/MemoryDirectory"
import { Effect, Option } from "effect"
import { plainBody } from "@parley/actors/channel/EventBody"
import type { Entry } from "@parley/actors/log/Entry"
import { changedRows } from "../../src/workers/ChannelRows.ts"

const channel = "group:one"

const entryOf = (seq: number, kind: string, members: ReadonlyArray<string>): Entry => ({
  topic: "channel",
  id: channel,
  generation: 1,
  seq,
  kind,
  at: seq,
  by: "ana",
  cid: "",
  bodyHash: "",
  n: 0,
  target: 0,
  hidden: "",
  body: plainBody({ seq, at: seq, by: "ana", kind, members })
})

describe("rows of a channel", () => {
  it.effect("count a removal whose stay was written by a step that failed before the row (WRITE-BEHIND-SAFE)", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const created = yield* changedRows(directory, [entryOf(1, "created", ["ana", "ben", "cat"])])
      yield* directory.writeMembers(created.members)
      yield* directory.writeChannels(created.rows)
      const removal = [entryOf(2, "removed", ["cat"])]
      // The members are written, then the store goes away.
      yield* directory.writeMembers((yield* changedRows(directory, removal)).members)
      const again = yield* changedRows(directory, removal)
      yield* directory.writeMembers(again.members)
      yield* directory.writeChannels(again.rows)
      const row = Option.getOrThrow(yield* directory.channel(channel))
      assert.deepStrictEqual([row.seq, row.members], [2, 2])
      const [stay] = yield* directory.membership(channel, "cat")
      assert.deepStrictEqual([stay?.from, stay?.to], [1, 2])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("end a stay again that a store forgot with its last writes, though the channel's row is past it", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const write = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
        const { members, rows } = yield* changedRows(directory, entries)
        yield* directory.writeMembers(members)
        yield* directory.writeChannels(rows)
      })
      yield* write([entryOf(1, "created", ["ana", "ben"])])
      // Its power went: of the removal at 2 nothing is left, and what was written since is based on it.
      const [row] = (yield* changedRows(directory, [entryOf(3, "added", ["cat"])])).rows
      yield* directory.writeChannels(row === undefined ? [] : [{ ...row, members: 2 }])
      const all = [entryOf(2, "removed", ["ben"]), entryOf(3, "added", ["cat"]), entryOf(4, "added", ["ben"])]
      yield* write(all)
      yield* write(all)
      const stays = (yield* directory.membership(channel, "ben")).map(({ from, to }) => [from, to])
      assert.deepStrictEqual(stays.toSorted(), [
        [1, 2],
        [4, null]
      ])
      const cat = (yield* directory.membership(channel, "cat")).map(({ from, to }) => [from, to])
      assert.deepStrictEqual(cat, [[3, null]])
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect(
    "†32 of a channel that begins are made without a read, and a late repeat of its beginning changes nothing",
    () =>
      Effect.gen(function* () {
        const memory = yield* Directory
        let reads = 0
        const directory = Directory.of({
          ...memory,
          channel: (id) => Effect.suspend(() => (reads++, memory.channel(id)))
        })
        const write = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
          const { members, rows } = yield* changedRows(directory, entries)
          yield* directory.writeMembers(members)
          yield* directory.writeChannels(rows)
        })
        const first = [entryOf(1, "created", ["ana", "ben"]), entryOf(2, "added", ["cat"])]
        yield* write(first)
        assert.strictEqual(reads, 0)
        yield* write([entryOf(3, "removed", ["ben"])])
        assert.strictEqual(reads, 1)
        const before = [yield* memory.channel(channel), yield* memory.members(channel, "", 10)]
        yield* write(first)
        yield* write([...first, entryOf(3, "removed", ["ben"])])
        assert.deepStrictEqual([yield* memory.channel(channel), yield* memory.members(channel, "", 10)], before)
      }).pipe(Effect.provide(layerMemory))
  )
})
