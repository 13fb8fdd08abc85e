/** What a step of the persister makes of rows and members when the one before it failed half-way. */
import { assert, describe, it } from "@effect/vitest"
import { Directory } from "@parley/storage/Directory"
import { layerMemory } from "@parley/storage/memory/MemoryDirectory"
import { Effect, Option } from "effect"
import * as fc from "fast-check"
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

const renamed = (seq: number, said: { readonly name?: string; readonly topic?: string }): Entry => ({
  ...entryOf(seq, "updated", []),
  body: plainBody({ seq, at: seq, by: "ana", kind: "updated", ...said })
})

const created = (members: ReadonlyArray<string>): Entry => ({
  ...entryOf(1, "created", members),
  body: plainBody({ seq: 1, at: 1, by: "ana", kind: "created", members, name: "first", topic: "", fanout: "write" })
})

/** A step of the persister, for the rows. */
const writeTo = (directory: Directory["Service"]) =>
  Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
    const { members, rows } = yield* changedRows(directory, entries)
    yield* directory.writeMembers(members)
    yield* directory.writeChannels(rows)
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
      const write = writeTo(directory)
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
          channelWithOrigins: (id) => Effect.suspend(() => (reads++, memory.channelWithOrigins(id)))
        })
        const write = writeTo(directory)
        const first = [entryOf(1, "created", ["ana", "ben"]), entryOf(2, "added", ["cat"])]
        yield* write(first.slice(0, 1))
        assert.strictEqual(reads, 0)
        yield* write(first)
        yield* write([entryOf(3, "removed", ["ben"])])
        assert.strictEqual(reads, 2)
        const before = [yield* memory.channel(channel), yield* memory.members(channel, "", 10)]
        yield* write(first)
        yield* write([...first, entryOf(3, "removed", ["ben"])])
        assert.deepStrictEqual([yield* memory.channel(channel), yield* memory.members(channel, "", 10)], before)
      }).pipe(Effect.provide(layerMemory))
  )

  it.effect(
    "have a name that a store forgot with its last writes, though the row is past it and was written since",
    () =>
      Effect.gen(function* () {
        const directory = yield* Directory
        const write = writeTo(directory)
        yield* write([created(["ana"])])
        // Of the name at 2 nothing is left; a message and a topic came since.
        yield* directory.moveChannels([{ channel, generation: 1, seq: 3, n: 1, idBound: 0 }])
        yield* write([renamed(4, { topic: "later" })])
        yield* write([renamed(2, { name: "second" })])
        const row = Option.getOrThrow(yield* directory.channel(channel))
        assert.deepInclude(row, { seq: 4, n: 0, name: "second", topic: "later", createdAt: 1 })
      }).pipe(Effect.provide(layerMemory))
  )

  it.effect("are those of the log whatever a store forgot of them, once all of it came again (WRITE-BEHIND-SAFE)", () =>
    Effect.gen(function* () {
      const users = ["ana", "ben", "cat", "dan"]
      const change = fc.record({
        kind: fc.constantFrom("added", "removed", "name", "topic", "message"),
        user: fc.constantFrom(...users.slice(1)),
        ends: fc.boolean(),
        lost: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 })
      })
      /**
       * As a channel decides: who is in is not added, who is out not removed; and nobody is removed twice, for an end that is
       * taken for that of an earlier stay, of which the end was lost, keeps its own out by its seq (†32).
       */
      const entriesOf = (changes: ReadonlyArray<{ readonly kind: string; readonly user: string }>) => {
        const present = new Set(["ana", "ben"])
        const removed = new Set<string>()
        const entries = [created([...present])]
        for (const { kind, user } of changes) {
          const seq = entries.length + 1
          const may = kind === "added" ? !present.has(user) : present.has(user) && !removed.has(user)
          if (kind === "name" || kind === "topic") entries.push(renamed(seq, { [kind]: `${kind} ${seq}` }))
          else if (kind === "message" || !may) entries.push(entryOf(seq, "message", []))
          else {
            entries.push(entryOf(seq, kind, [user]))
            if (kind === "added") present.add(user)
            else {
              present.delete(user)
              removed.add(user)
            }
          }
        }
        return entries
      }
      const stepsOf = (entries: ReadonlyArray<Entry>, ends: (at: number) => boolean) => {
        const steps: Array<Array<Entry>> = [[]]
        entries.forEach((entry, at) => {
          steps.at(-1)?.push(entry)
          if (ends(at)) steps.push([])
        })
        return steps.filter((step) => step.length > 0)
      }
      /** `lost`: of the step's writes those that the store forgets, stay by stay, the row, where it moves to. */
      const write = (directory: Directory["Service"], step: ReadonlyArray<Entry>, lost: ReadonlyArray<boolean> = []) =>
        Effect.gen(function* () {
          const { members, rows } = yield* changedRows(directory, step)
          yield* directory.writeMembers(members.filter((_stay, at) => lost[at % 4] !== true))
          if (lost[4] !== true) yield* directory.writeChannels(rows)
          const last = step.at(-1)
          if (rows.length > 0 || last === undefined || lost[5] === true) return
          yield* directory.moveChannels([{ channel, generation: 1, seq: last.seq, n: last.n, idBound: 0 }])
        })
      const all = (directory: Directory["Service"]) =>
        Effect.all([directory.channel(channel), directory.members(channel, "", 10)])
      const fresh = <A>(use: (directory: Directory["Service"]) => Effect.Effect<A, unknown>) =>
        Effect.gen(function* () {
          return yield* use(yield* Directory)
        }).pipe(Effect.provide(layerMemory), Effect.runPromise)
      const property = fc.asyncProperty(
        fc.array(change, { maxLength: 12 }),
        fc.nat(),
        fc.array(fc.boolean(), { minLength: 13, maxLength: 13 }),
        async (changes, from, again) => {
          const entries = entriesOf(changes)
          const steps = stepsOf(entries, (at) => changes[at - 1]?.ends ?? true)
          const expected = await fresh((directory) =>
            Effect.andThen(
              Effect.forEach(steps, (step) => write(directory, step)),
              all(directory)
            )
          )
          const found = await fresh((directory) =>
            Effect.gen(function* () {
              // What precedes the consumer's position was synced.
              const position = from % (entries.length + 1)
              for (const step of steps) {
                const synced = (step.at(-1)?.seq ?? 0) <= position
                yield* write(
                  directory,
                  step,
                  synced ? [] : (changes[(step[0]?.seq ?? 1) - 2]?.lost ?? [true, true, true, true, true])
                )
              }
              const begin = steps.find((step) => (step.at(-1)?.seq ?? 0) > position)?.[0]?.seq ?? Infinity
              const rest = entries.filter(({ seq }) => seq >= begin)
              for (const step of stepsOf(rest, (at) => again[at] === true)) yield* write(directory, step)
              return yield* all(directory)
            })
          )
          assert.deepStrictEqual(found, expected)
        }
      )
      yield* Effect.promise(() => fc.assert(property, { numRuns: 2_000 }))
    })
  )
})
