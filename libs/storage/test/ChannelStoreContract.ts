/**
 * What every ChannelStore promises: a step is what its parts would be one after the other, a load what the other seams
 * say. Each backend runs it, with all of its seams.
 */
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import * as fc from "fast-check"
import { ChannelStore, type ChannelStep, loadChannelsMax } from "../src/ChannelStore.ts"
import { type ChannelRow, Directory, type Membership } from "../src/Directory.ts"
import { Inbox } from "../src/Inbox.ts"
import { MessageStore, type StoredEvent } from "../src/MessageStore.ts"
import { freshChannel, History } from "./History.ts"

const nothing: ChannelStep = { events: [], named: [], taken: [], members: [], rows: [] }

const rowAt = (channel: string, { generation, n, seq }: StoredEvent): ChannelRow => ({
  channel,
  generation,
  seq,
  n,
  name: "имя",
  topic: 'a "topic"\n',
  fanout: "read",
  createdAt: 7,
  members: 1,
  idBound: 3
})

const stayOf = (channel: string, user: string): Membership => ({
  channel,
  user,
  role: "owner",
  from: 1,
  to: null,
  seq: 1
})

/** All that the other seams say of a channel. */
const readAll = Effect.fnUntraced(function* (channel: string) {
  const messages = yield* MessageStore
  const directory = yield* Directory
  return {
    events: yield* messages.events(channel, 0, 1e9, 1_000),
    head: yield* messages.head(channel),
    row: yield* directory.channel(channel),
    stays: yield* directory.members(channel, "", 1_000)
  }
})

type Seams = ChannelStore | Directory | Inbox | MessageStore

/** One write of a channel: mostly plain messages of a step, which is what a server does. */
const write = fc.record({
  by: fc.constantFrom("step", "step", "step", "step with a row", "messages", "move"),
  events: fc.array(
    fc.record({
      seq: fc.integer({ min: 3, max: 14 }),
      generation: fc.constantFrom(1, 1, 1, 2),
      kind: fc.constantFrom("message", "message", "message", "message", "added", "edit", "delete"),
      target: fc.integer({ min: 2, max: 13 })
    }),
    { minLength: 1, maxLength: 3 }
  )
})
type Write = typeof write extends fc.Arbitrary<infer A> ? A : never

const eventOf = (history: History, { generation, kind, seq, target }: Write["events"][number]): StoredEvent => {
  // One event a place and generation (ONE-ORDER), with the count of messages that belongs to it.
  const options = { generation, by: generation === 1 ? "ann" : "ben" }
  const changes = target < seq && (seq + generation) % 4 === 0
  const event =
    kind === "edit" && changes
      ? history.edit(seq, target, `edit ${seq}`, options)
      : kind === "delete" && changes
        ? history.delete(seq, target, options)
        : kind === "added"
          ? history.added(seq, options)
          : history.message(seq, `m${generation} ${seq}`, options)
  return { ...event, n: generation * 100 + seq }
}

type Place = Pick<StoredEvent, "generation" | "seq" | "n">
const later = (a: Place, b: Place): Place =>
  b.generation > a.generation || (b.generation === a.generation && b.seq > a.seq) ? b : a

/** Does the writes, and looks after each whether head and row are where all of them together say. */
const checkWrites = Effect.fnUntraced(function* (history: History, writes: ReadonlyArray<Write>) {
  const [store, directory, messages] = [yield* ChannelStore, yield* Directory, yield* MessageStore]
  const { channel } = history
  const first = history.added(1)
  yield* store.write({ ...nothing, events: [first], rows: [rowAt(channel, first)] })
  let [head, position]: [Place, Place] = [first, first]
  const kept = new Map<string, StoredEvent>([["1 1", first]])
  for (const { by, events: planned } of writes) {
    const events = planned.map((it) => {
      const place = `${it.generation} ${it.seq}`
      const event = kept.get(place) ?? eventOf(history, it)
      if (by !== "move") kept.set(place, event)
      return event
    })
    const newest = events.reduce<Place>(later, { generation: 0, seq: 0, n: 0 })
    if (by === "move") {
      const { generation, n, seq } = newest
      yield* directory.moveChannels([{ channel, generation, seq, n, idBound: 0 }])
    } else {
      head = later(head, newest)
      if (by === "messages") yield* messages.write(events)
      // A row is at the newest event there is: its writer has them all.
      else
        yield* store.write({
          ...nothing,
          events,
          rows: by === "step" ? [] : [{ ...rowAt(channel, first), ...later(position, newest), channel }]
        })
    }
    if (by !== "messages") position = later(position, newest)
    const [loaded, withoutEvents] = yield* store.load({ channels: [channel, channel], newestSeqs: [5, 0], staysMax: 5 })
    const { generation, n, seq } = head
    assert.deepStrictEqual(yield* messages.head(channel), Option.some({ generation, seq, n }))
    assert.deepStrictEqual(loaded?.newest, Option.getOrUndefined(yield* messages.newest(channel, 5)))
    assert.deepStrictEqual(withoutEvents?.newest, Option.getOrUndefined(yield* messages.newest(channel, 0)))
    const row = Option.getOrThrow(yield* directory.channel(channel))
    assert.deepInclude(row, { generation: position.generation, seq: position.seq, n: position.n, name: "имя" })
    assert.deepStrictEqual(loaded?.row, row)
  }
  const ordered = new History()
  const events = [...kept.values()].map((it) => ({ ...it, channel: ordered.channel }))
  yield* messages.write(events.toSorted((a, b) => a.generation - b.generation || a.seq - b.seq))
  assert.deepStrictEqual(
    yield* messages.events(channel, 0, 1e9, 100),
    yield* messages.events(ordered.channel, 0, 1e9, 100)
  )
  for (const upTo of [7, 11, 1e9]) {
    assert.strictEqual(
      yield* messages.countUnread(channel, 0, upTo, "ann"),
      yield* messages.countUnread(ordered.channel, 0, upTo, "ann")
    )
  }
})

/** Stays of few users or of many, with short ids or long ones; the same stay comes again with other owners of its values. */
const staysWrite = fc.record({
  inStep: fc.boolean(),
  stays: fc.array(
    fc.record({
      user: fc.oneof(
        fc.constantFrom("ann", "ben"),
        fc.nat(45).map((n) => `u${n}`),
        fc.nat(9).map((n) => "long".repeat(15) + n)
      ),
      from: fc.integer({ min: 1, max: 4 }),
      lasts: fc.nat(6),
      seq: fc.integer({ min: 1, max: 12 }),
      role: fc.constantFrom("owner", "member")
    }),
    { minLength: 1, maxLength: 20 }
  )
})
type StaysWrite = typeof staysWrite extends fc.Arbitrary<infer A> ? A : never

/** Does the writes, and looks after each whether a load says what the directory says. */
const checkStays = Effect.fnUntraced(function* (channel: string, writes: ReadonlyArray<StaysWrite>) {
  const [store, directory] = [yield* ChannelStore, yield* Directory]
  const row = rowAt(channel, { ...new History().added(1), channel })
  yield* directory.writeChannels([row])
  for (const { inStep, stays } of writes) {
    const members = stays.map(({ from, lasts, role, seq, user }): Membership => {
      const to = lasts === 0 ? null : from + lasts
      return { channel, user, role, from, to, seq }
    })
    yield* inStep ? store.write({ ...nothing, members }) : directory.writeMembers(members)
    const all = yield* directory.members(channel, "", 1_000)
    for (const staysMax of [1_000, 40, 3]) {
      const [loaded] = yield* store.load({ channels: [channel], newestSeqs: [1], staysMax })
      assert.deepStrictEqual(loaded?.stays, all.length > staysMax ? undefined : all)
    }
  }
})

export interface ChannelStoreTrial {
  /**
   * What a row is that comes behind what moved its channel on: dropped as a whole, or taken column by column, where each
   * is its own writer's (†32). No owner's sequence has such rows: what they say is in the ones that came before.
   */
  readonly lateRows?: "dropped" | "by column"
  /** Part of the random runs that is made, where each write takes milliseconds. */
  readonly effort?: number
}

export const channelStoreContract = <E>(
  name: string,
  layer: Layer.Layer<Seams, E>,
  { effort = 1, lateRows = "dropped" }: ChannelStoreTrial = {}
): void => {
  const runs = (count: number) => ({ numRuns: Math.ceil(count * effort) })
  describe(`${name} keeps the ChannelStore contract`, () => {
    withLayer(layer)((it) => {
      it.effect("a step writes events, mentions, members and rows, and a repeat of it changes nothing", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const inbox = yield* Inbox
          const history = new History()
          const { channel } = history
          const created = history.added(1)
          const step: ChannelStep = {
            events: [created, history.message(2, "hello")],
            named: [{ user: "ben", channel, seq: 2, at: 2 }],
            taken: [{ user: "cleo", channel, seq: 2, at: 3 }],
            members: [stayOf(channel, "ann")],
            rows: [rowAt(channel, created)]
          }
          yield* store.write(step)
          const once = yield* readAll(channel)
          assert.deepStrictEqual(
            once.events.map(({ seq }) => seq),
            [1, 2]
          )
          assert.deepStrictEqual(once.row, Option.some(rowAt(channel, created)))
          assert.deepStrictEqual(once.stays, [stayOf(channel, "ann")])
          assert.strictEqual(yield* inbox.countMentions("ben", channel, 0, 9), 1)
          yield* inbox.addMentions([{ user: "cleo", channel, seq: 2, at: 2 }])
          assert.strictEqual(yield* inbox.countMentions("cleo", channel, 0, 9), 0)
          yield* store.write(step)
          assert.deepStrictEqual(yield* readAll(channel), once)
        })
      )

      it.effect(
        "†32 a row that the step does not name moves with the events, whatever their order, and never back",
        () =>
          Effect.gen(function* () {
            const store = yield* ChannelStore
            const directory = yield* Directory
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(fc.array(fc.nat(7), { minLength: 1, maxLength: 12 }), (picks) =>
                  Effect.runPromise(
                    Effect.gen(function* () {
                      const history = new History()
                      const { channel } = history
                      const first = history.added(1)
                      const events = [2, 3, 4, 5, 6, 7, 8, 9].map((seq) => history.message(seq, `m${seq}`))
                      yield* store.write({ ...nothing, events: [first], rows: [rowAt(channel, first)] })
                      const written = picks.flatMap((at) => events.slice(at, at + 1))
                      for (const event of written) yield* store.write({ ...nothing, events: [event] })
                      const top = written.reduce((a, b) => (b.seq > a.seq ? b : a))
                      const { idBound, ...row } = Option.getOrThrow(yield* directory.channel(channel))
                      const { idBound: least, ...expected } = rowAt(channel, top)
                      assert.deepStrictEqual(row, expected)
                      assert.isAtLeast(idBound, least)
                    })
                  )
                ),
                runs(30)
              )
            )
          })
      )

      it.effect(
        "†32 head, row and counts follow from all that was written, by whichever seam and in whichever order",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<Seams>())
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 20 }), (writes) =>
                  run(checkWrites(new History(), writes))
                ),
                runs(200)
              )
            )
          }),
        60_000
      )

      it.effect("†32 a row that comes later than what moved it on moves nothing back, whatever that was", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const directory = yield* Directory
          const ways = {
            message: (history: History) => store.write({ ...nothing, events: [history.message(9, "m")] }),
            messages: (history: History) =>
              store.write({ ...nothing, events: [8, 9].map((seq) => history.message(seq, `m${seq}`)) }),
            edit: (history: History) => store.write({ ...nothing, events: [history.edit(9, 8, "edited")] }),
            move: ({ channel }: History) =>
              directory.moveChannels([{ channel, generation: 1, seq: 9, n: 4, idBound: 0 }])
          }
          for (const [way, move] of Object.entries(ways)) {
            const history = new History()
            const { channel } = history
            const first = history.added(5)
            yield* store.write({ ...nothing, events: [first], rows: [rowAt(channel, first)] })
            yield* move(history)
            const before = Option.getOrThrow(yield* directory.channel(channel))
            assert.deepInclude(before, { generation: 1, seq: 9, name: "имя" }, way)
            const late = { ...before, name: "late", idBound: 0 }
            for (const seq of [5, 7, 9]) yield* directory.writeChannels([{ ...late, seq }])
            yield* store.write({ ...nothing, rows: [{ ...late, seq: 8 }] })
            const after = lateRows === "dropped" ? before : { ...before, name: "late" }
            assert.deepStrictEqual(Option.getOrThrow(yield* directory.channel(channel)), after, way)
            assert.deepStrictEqual(
              (yield* store.load({ channels: [channel], newestSeqs: [5], staysMax: 5 }))[0]?.row,
              after,
              way
            )
            const next = { ...before, generation: 2, seq: 1, name: "next" }
            yield* directory.writeChannels([next, { ...late, seq: 12 }])
            assert.deepStrictEqual(Option.getOrThrow(yield* directory.channel(channel)), next, way)
          }
        })
      )

      it.effect("a channel without a row gets none by its messages", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const history = new History()
          yield* store.write({ ...nothing, events: [history.message(1, "m")] })
          assert.isTrue(Option.isNone((yield* readAll(history.channel)).row))
          assert.deepStrictEqual(yield* store.load({ channels: [history.channel], newestSeqs: [5], staysMax: 5 }), [
            undefined
          ])
        })
      )

      it.effect(
        "†16 a load has each channel's row, newest events in current form, and stays, as the other seams have",
        () =>
          Effect.gen(function* () {
            const store = yield* ChannelStore
            const messages = yield* MessageStore
            const directory = yield* Directory
            const histories = Array.from({ length: loadChannelsMax + 9 }, () => new History())
            for (const [at, history] of histories.entries()) {
              const { channel } = history
              const created = history.added(1)
              const texts = [2, 3, 4, 5].map((seq) => history.message(seq, `${"ü".repeat(at)} ${seq}`))
              const changes = [
                history.edit(6, 3, "раз"),
                history.delete(7, 4),
                history.edit(8, 2, "void"),
                history.delete(9, 2)
              ]
              const members = at % 3 === 0 ? [] : ["ann", "ben"].map((user) => stayOf(channel, user))
              yield* store.write({
                ...nothing,
                events: [created, ...texts, ...changes],
                members,
                rows: [rowAt(channel, created)]
              })
            }
            const channels = [...histories.map(({ channel }) => channel), freshChannel()]
            // A question may want much of one channel and little of the next.
            for (const [depths, staysMax] of [
              [[50], 10],
              [[7], 1],
              [[1], 2],
              [[0], 2],
              [[50, 1, 0, 7], 10]
            ] as const) {
              const newestSeqs = channels.map((_, at) => depths[at % depths.length] ?? 0)
              const loaded = yield* store.load({ channels, newestSeqs, staysMax })
              assert.strictEqual(loaded.length, channels.length)
              for (const [at, channel] of channels.entries()) {
                const row = yield* directory.channel(channel)
                if (Option.isNone(row)) {
                  assert.isUndefined(loaded[at])
                  continue
                }
                const stays = yield* directory.members(channel, "", 1_000)
                assert.deepStrictEqual(loaded[at], {
                  row: row.value,
                  newest: Option.getOrUndefined(yield* messages.newest(channel, newestSeqs[at] ?? 0)),
                  stays: stays.length > staysMax ? undefined : stays
                })
              }
            }
          }),
        60_000
      )

      it.effect(
        "†15 a load has the stays that the directory has, after any writes of them, however late or often",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<Seams>())
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(fc.array(staysWrite, { minLength: 1, maxLength: 8 }), (writes) =>
                  run(checkStays(freshChannel(), writes))
                ),
                runs(60)
              )
            )
          }),
        60_000
      )

      it.effect("a channel whose events are not there yet has a row all the same", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const directory = yield* Directory
          const history = new History()
          const { channel } = history
          const row = rowAt(channel, history.added(1))
          yield* directory.writeChannels([row])
          const [loaded, withoutEvents] = yield* store.load({
            channels: [channel, channel],
            newestSeqs: [5, 0],
            staysMax: 5
          })
          const bare = { row, newest: undefined, stays: [] }
          assert.deepStrictEqual(loaded, bare)
          assert.deepStrictEqual(withoutEvents, bare)
        })
      )
    })
  })
}
