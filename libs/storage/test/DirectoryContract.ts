/** What every Directory promises. Each backend runs it; users and channels have fresh names. */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import * as fc from "fast-check"
import { randomUUID } from "node:crypto"
import {
  type ChannelRow,
  type ChannelRowWithOrigins,
  Directory,
  type Membership,
  originsAt,
  recountsMax,
  rowParts
} from "../src/Directory.ts"
import { freshChannel } from "./History.ts"

const freshUser = (): string => `u-${randomUUID()}`

const channelRow = (channel: string, generation: number, seq: number, idBound = 0): ChannelRow => ({
  channel,
  generation,
  seq,
  n: seq,
  name: `имя ${generation}.${seq}`,
  topic: 'it\'s a "topic"\n',
  fanout: "write",
  createdAt: 5,
  members: seq,
  idBound
})

const stay = (
  channel: string,
  user: string,
  from: number,
  to: number | null,
  role: Membership["role"] = "member"
): Membership => ({
  channel,
  user,
  role,
  from,
  to,
  seq: to ?? from
})

const shuffle = <A>(rows: ReadonlyArray<A>, seed: ReadonlyArray<number>): ReadonlyArray<A> =>
  rows
    .map((row, i) => ({ row, key: ((seed[i % seed.length] ?? 0) * 7919 + i * 104_729) % 65_537 }))
    .sort((a, b) => a.key - b.key)
    .map(({ row }) => row)

const seeds = fc.array(fc.nat(100_000), { minLength: 3, maxLength: 20 })

/** `origins`: whether the store keeps the parts of a row apart, or takes all of them for the row's own event's. */
export const directoryContract = <E>(
  name: string,
  layer: Layer.Layer<Directory, E>,
  origins: "kept" | "the row's" = "the row's"
): void => {
  describe(`${name} keeps the Directory contract`, () => {
    withLayer(layer)((it) => {
      it.effect("†32 a channel's values are those of its largest position, its id bound the largest ever", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const channel = freshChannel()
          assert.isTrue(Option.isNone(yield* directory.channel(channel)))
          yield* directory.writeChannels([channelRow(channel, 1, 9, 40), channelRow(channel, 1, 8, 70)])
          assert.deepStrictEqual(yield* directory.channel(channel), Option.some(channelRow(channel, 1, 9, 70)))
          yield* directory.writeChannels([channelRow(channel, 2, 3, 10)])
          assert.deepStrictEqual(yield* directory.channel(channel), Option.some(channelRow(channel, 2, 3, 70)))
          yield* directory.writeChannels([channelRow(channel, 2, 3, 90)])
          assert.deepStrictEqual(yield* directory.channel(channel), Option.some(channelRow(channel, 2, 3, 90)))
        })
      )

      it.effect("†32 a row that was written in one piece is of its event, in all of its parts", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const channel = freshChannel()
          assert.isTrue(Option.isNone(yield* directory.channelWithOrigins(channel)))
          const row = channelRow(channel, 2, 9, 40)
          yield* directory.writeChannels([row])
          const found = yield* directory.channelWithOrigins(channel)
          assert.deepStrictEqual(found, Option.some({ ...row, origins: originsAt(row) }))
          yield* directory.moveChannels([{ channel, generation: 2, seq: 12, n: 10, idBound: 40 }])
          const moved = Option.getOrThrow(yield* directory.channelWithOrigins(channel))
          assert.deepStrictEqual(moved.origins, originsAt(origins === "kept" ? row : moved))
        })
      )

      if (origins === "kept")
        it.effect(
          "†32 each part of a row is as of its own latest event, in any order, its count as last put right",
          () =>
            Effect.gen(function* () {
              const directory = yield* Directory
              const place = fc.record({
                generation: fc.integer({ min: 1, max: 2 }),
                seq: fc.integer({ min: 0, max: 4 })
              })
              const placed = fc.record({
                at: place,
                name: place,
                topic: place,
                fanout: place,
                createdAt: place,
                members: place,
                recounts: fc.integer({ min: 0, max: recountsMax })
              })
              type Placed = typeof placed extends fc.Arbitrary<infer A> ? A : never
              /** What an event says is the same whoever carried it: as it is with the persister. */
              const rowOf = (channel: string, it: Placed): ChannelRowWithOrigins => ({
                channel,
                generation: it.at.generation,
                seq: it.at.seq + 1,
                n: it.at.seq,
                name: `name ${it.name.generation}.${it.name.seq}`,
                topic: `topic ${it.topic.generation}.${it.topic.seq}`,
                fanout: (it.fanout.generation + it.fanout.seq) % 2 === 0 ? "read" : "write",
                createdAt: it.createdAt.generation * 10 + it.createdAt.seq,
                members: it.members.generation * 1_000 + it.members.seq * 100 + 50 - it.recounts,
                idBound: 0,
                origins: {
                  name: it.name,
                  topic: it.topic,
                  fanout: it.fanout,
                  createdAt: it.createdAt,
                  members: { ...it.members, recounts: it.recounts }
                }
              })
              const latest = <A>(all: ReadonlyArray<A>, of: (it: A) => ReadonlyArray<number>): A | undefined =>
                all
                  .toSorted((a, b) => {
                    const [left, right] = [of(a), of(b)]
                    return left.map((value, at) => value - (right[at] ?? 0)).find((difference) => difference !== 0) ?? 0
                  })
                  .at(-1)
              const property = fc.asyncProperty(fc.array(placed, { minLength: 1, maxLength: 8 }), seeds, (all, seed) =>
                Effect.runPromise(
                  Effect.gen(function* () {
                    const channel = freshChannel()
                    const rows = all.map((it) => rowOf(channel, it))
                    for (const row of shuffle([...rows, ...rows], seed)) yield* directory.writeChannels([row])
                    const found = Option.getOrThrow(yield* directory.channelWithOrigins(channel))
                    const newest = latest(rows, ({ generation, seq }) => [generation, seq])
                    assert.deepStrictEqual(
                      [found.generation, found.seq, found.n],
                      [newest?.generation, newest?.seq, newest?.n]
                    )
                    for (const part of rowParts) {
                      const row = latest(rows, ({ origins }) => [origins[part].generation, origins[part].seq])
                      assert.deepStrictEqual([found[part], found.origins[part]], [row?.[part], row?.origins[part]])
                    }
                    const counted = latest(rows, ({ origins: { members } }) => [
                      members.generation,
                      members.seq,
                      members.recounts
                    ])
                    assert.deepStrictEqual(
                      [found.members, found.origins.members],
                      [counted?.members, counted?.origins.members]
                    )
                  })
                )
              )
              yield* Effect.promise(() => fc.assert(property, { numRuns: 40 }))
            })
        )

      it.effect("†32 a row that is there moves on by a later position, and never back", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const channel = freshChannel()
          const move = (generation: number, seq: number, idBound: number) => ({
            channel,
            generation,
            seq,
            n: seq,
            idBound
          })
          yield* directory.moveChannels([move(1, 5, 5)])
          assert.isTrue(Option.isNone(yield* directory.channel(channel)))
          const row = channelRow(channel, 1, 9, 40)
          yield* directory.writeChannels([row])
          yield* directory.moveChannels([move(1, 12, 70), move(1, 11, 50)])
          assert.deepStrictEqual(
            yield* directory.channel(channel),
            Option.some({ ...row, seq: 12, n: 12, idBound: 70 })
          )
          yield* directory.moveChannels([move(2, 1, 10)])
          assert.deepStrictEqual(
            yield* directory.channel(channel),
            Option.some({ ...row, generation: 2, seq: 1, n: 1, idBound: 70 })
          )
          assert.isFalse((yield* directory.channelIds(channel.slice(0, -1), 10)).length === 0)
        })
      )

      it.effect("lists the channels that have a row, ascending, in pages", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const channels = Array.from({ length: 25 }, () => freshChannel())
          yield* directory.writeChannels(channels.map((channel) => channelRow(channel, 1, 1)))
          const unwritten = freshChannel()
          yield* directory.writeMembers([stay(unwritten, freshUser(), 1, null)])
          const listed: Array<string> = []
          for (let after = ""; ;) {
            const page = yield* directory.channelIds(after, 10)
            listed.push(...page)
            const last = page.at(-1)
            if (last === undefined) break
            after = last
          }
          assert.deepStrictEqual(
            listed,
            listed.toSorted((a, b) => (a < b ? -1 : 1))
          )
          assert.deepStrictEqual(
            listed.filter((channel) => channels.includes(channel)),
            channels.toSorted((a, b) => (a < b ? -1 : 1))
          )
          assert.notInclude(listed, unwritten)
        })
      )

      it.effect("†15 membership is a list of stays, each ended by the seq that ended it", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const [channel, user] = [freshChannel(), freshUser()]
          yield* directory.writeMembers([
            stay(channel, user, 5, 9),
            stay(channel, user, 5, null),
            stay(channel, user, 12, null, "owner")
          ])
          assert.deepStrictEqual(yield* directory.membership(channel, user), [
            stay(channel, user, 5, 9),
            stay(channel, user, 12, null, "owner")
          ])
          assert.deepStrictEqual(yield* directory.membership(channel, freshUser()), [])
          assert.deepStrictEqual(yield* directory.membership(freshChannel(), user), [])
        })
      )

      it.effect("a role is changed by a later seq", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const [channel, user] = [freshChannel(), freshUser()]
          const promoted: Membership = { channel, user, role: "owner", from: 5, to: null, seq: 8 }
          yield* directory.writeMembers([promoted])
          yield* directory.writeMembers([stay(channel, user, 5, null)])
          assert.deepStrictEqual(yield* directory.membership(channel, user), [promoted])
        })
      )

      it.effect("a user's channels are those he is in now, ascending by id", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const user = freshUser()
          // as: map keeps the length of a tuple, its type does not say so
          const [a, b, c, d] = ["a", "b", "c", "d"].map((it) => `test:${it}-${randomUUID()}`) as [
            string,
            string,
            string,
            string
          ]
          yield* directory.writeMembers([
            stay(d, user, 1, null),
            stay(b, user, 1, 4),
            stay(b, user, 6, null),
            stay(c, user, 1, 4),
            stay(a, freshUser(), 1, null)
          ])
          assert.deepStrictEqual(yield* directory.channelsOf(user), [stay(b, user, 6, null), stay(d, user, 1, null)])
          // The end of an old stay may come last: the latest stay decides meanwhile.
          yield* directory.writeMembers([stay(a, user, 9, 12), stay(a, user, 3, null)])
          assert.deepStrictEqual(
            (yield* directory.channelsOf(user)).map((it) => it.channel),
            [b, d]
          )
          assert.deepStrictEqual(yield* directory.channelsOf(freshUser()), [])
        })
      )

      it.effect("a large channel's members are paged by user, each with all his stays", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const channel = freshChannel()
          const users = Array.from({ length: 2_500 }, (_, i) => `u${String(i).padStart(5, "0")}`)
          yield* directory.writeMembers(users.map((user, i) => stay(channel, user, i + 1, null)))
          yield* directory.writeMembers([stay(channel, "u00001", 2, 5_000), stay(channel, "u00001", 6_000, null)])
          const first = yield* directory.members(channel, "", 2)
          assert.deepStrictEqual(first, [
            stay(channel, "u00000", 1, null),
            stay(channel, "u00001", 2, 5_000),
            stay(channel, "u00001", 6_000, null)
          ])
          const seen = new Set<string>()
          for (let after = ""; ;) {
            const page = yield* directory.members(channel, after, 300)
            const last = page.at(-1)
            if (last === undefined) break
            for (const it of page) seen.add(it.user)
            after = last.user
          }
          assert.deepStrictEqual([...seen], users)
        })
      )

      it.effect("a session is what its largest user seq wrote", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const user = freshUser()
          const row = (generation: number, userSeq: number) => ({
            user,
            generation,
            userSeq,
            state: new Uint8Array([0, 255, generation, userSeq])
          })
          assert.isTrue(Option.isNone(yield* directory.session(user)))
          yield* directory.writeSessions([row(1, 5), row(1, 4)])
          assert.deepStrictEqual(yield* directory.session(user), Option.some(row(1, 5)))
          yield* directory.writeSessions([row(2, 1), row(1, 9)])
          assert.deepStrictEqual(yield* directory.session(user), Option.some(row(2, 1)))
          const empty = { ...row(3, 1), state: new Uint8Array(0) }
          yield* directory.writeSessions([empty])
          assert.deepStrictEqual(yield* directory.session(user), Option.some(empty))
        })
      )

      it.effect("a user is what was put last", () =>
        Effect.gen(function* () {
          const directory = yield* Directory
          const user = freshUser()
          assert.isTrue(Option.isNone(yield* directory.user(user)))
          yield* directory.putUser({ user, name: "Анна", createdAt: 5 })
          yield* directory.putUser({ user, name: "Anna", createdAt: 5 })
          assert.deepStrictEqual(yield* directory.user(user), Option.some({ user, name: "Anna", createdAt: 5 }))
        })
      )

      it.effect(
        "†32 rows written in any order, twice, are rows written in order once",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<Directory>())
            // Lengths of stay and absence in turn: an owner's history of one user in one channel.
            const turns = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 9 })
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(turns, seeds, (turns, seed) =>
                  run(
                    Effect.gen(function* () {
                      const directory = yield* Directory
                      const [channel, user] = [freshChannel(), freshUser()]
                      const rows: Array<Membership> = []
                      const expected: Array<Membership> = []
                      let seq = 0
                      turns.forEach((length, i) => {
                        const from = seq + 1
                        seq += length + 1
                        if (i % 2 === 1) return
                        rows.push(stay(channel, user, from, null))
                        if (i < turns.length - 1) rows.push(stay(channel, user, from, seq))
                        expected.push(stay(channel, user, from, i < turns.length - 1 ? seq : null))
                      })
                      for (const row of shuffle([...rows, ...rows], seed)) yield* directory.writeMembers([row])
                      assert.deepStrictEqual(yield* directory.membership(channel, user), expected)
                      const now = expected.at(-1)
                      assert.deepStrictEqual(yield* directory.channelsOf(user), now?.to === null ? [now] : [])
                    })
                  )
                ),
                { numRuns: 40 }
              )
            )
          }),
        30_000
      )
    })
  })
}
