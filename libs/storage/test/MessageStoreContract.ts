/**
 * What every MessageStore promises. Each backend runs it; channels have fresh names, so one store serves all tests.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { fromWire, type WireText } from "@parley/protocol/WireText"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import * as fc from "fast-check"
import { MessageStore, type StoredEvent } from "../src/MessageStore.ts"
import { clientId, freshChannel, History } from "./History.ts"
import { batchSizes, runModel, seeds, senders, shuffled, step } from "./MessageStoreModel.ts"

const everything = { after: 0, before: Number.MAX_SAFE_INTEGER, limit: 1_000, newest: false }

// Reason for `as`: tests wrote these bodies.
const parsed = (body: WireText): Record<string, unknown> => JSON.parse(fromWire(body)) as Record<string, unknown>

/** All that can be read of a channel. */
const readAll = Effect.fnUntraced(function* (channel: string, users: ReadonlyArray<string>) {
  const store = yield* MessageStore
  const messages = yield* store.messages(channel, everything)
  const events = yield* store.events(channel, 0, Number.MAX_SAFE_INTEGER, 1_000)
  const unread: Array<number> = []
  for (const user of users) {
    for (const [after, upTo] of [
      [0, 1e9],
      [1_000, 3_000],
      [1_023, 2_047],
      [700, 700],
      [1_500, 1e9]
    ] as const) {
      unread.push(yield* store.countUnread(channel, after, upTo, user))
    }
  }
  return { messages, events, unread, head: yield* store.head(channel) }
})

/** Writes `events` cut into batches as `sizes` say. */
const writeInBatches = Effect.fnUntraced(function* (events: ReadonlyArray<StoredEvent>, sizes: ReadonlyArray<number>) {
  const store = yield* MessageStore
  let at = 0
  for (let i = 0; at < events.length; i++) {
    const size = sizes[i % Math.max(1, sizes.length)] ?? 1
    yield* store.write(events.slice(at, at + size))
    at += size
  }
})

export interface MessageStoreTrial {
  /** Part of the random runs that is made, where each write takes milliseconds. */
  readonly effort?: number
}

export const messageStoreContract = <E>(
  name: string,
  layer: Layer.Layer<MessageStore, E>,
  { effort = 1 }: MessageStoreTrial = {}
): void => {
  const runs = (count: number) => ({ numRuns: Math.ceil(count * effort) })
  describe(`${name} keeps the MessageStore contract`, () => {
    withLayer(layer)((it) => {
      it.effect("pages are read by seq from either end, tombstones included", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const { channel } = history
          yield* store.write([1, 2, 4, 5, 7].map((seq) => history.message(seq, `m${seq}`)))
          yield* store.write([history.added(3), history.delete(6, 4)])
          const seqs = Effect.fnUntraced(function* (after: number, before: number, limit: number, newest: boolean) {
            return (yield* store.messages(channel, { after, before, limit, newest })).map((it) => it.seq)
          })
          assert.deepStrictEqual(yield* seqs(0, 100, 3, true), [4, 5, 7])
          assert.deepStrictEqual(yield* seqs(0, 100, 3, false), [1, 2, 4])
          assert.deepStrictEqual(yield* seqs(2, 7, 10, false), [4, 5])
          assert.deepStrictEqual(yield* seqs(2, 7, 1, true), [5])
          assert.deepStrictEqual(yield* seqs(7, Number.MAX_SAFE_INTEGER, 10, true), [])
          assert.deepStrictEqual(yield* seqs(0, 100, 0, true), [])
          const tombstone = (yield* store.messages(channel, { after: 3, before: 5, limit: 1, newest: true }))[0]
          assert.strictEqual(tombstone?.deleted, true)
          assert.deepStrictEqual(yield* store.messages(freshChannel(), everything), [])
        })
      )

      it.effect("channels do not see each other's messages, whatever their seqs", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const [a, b] = [new History(), new History()]
          yield* store.write([a.message(1, "a"), b.message(1, "b"), a.message(2_000_000, "far"), b.message(2, "b2")])
          assert.deepStrictEqual(
            (yield* store.messages(a.channel, everything)).map((it) => it.seq),
            [1, 2_000_000]
          )
          assert.deepStrictEqual(
            (yield* store.events(b.channel, 0, 1e12, 10)).map((it) => it.seq),
            [1, 2]
          )
          assert.strictEqual(yield* store.countUnread(b.channel, 0, 1e12, "zoe"), 2)
        })
      )

      it.effect("bodies come back byte for byte, in any script", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const sent = ["plain", "привет, мир", "日本語 🎉", "é\u0000\u007f\u0080ÿ", ""].map((text, i) =>
            history.message(i + 1, text)
          )
          yield* store.write(sent)
          const read = yield* store.messages(history.channel, everything)
          assert.deepStrictEqual(
            read.map((it) => it.body),
            sent.map((it) => it.body)
          )
        })
      )

      it.effect("an edit gives the message its text and mentions, in pages and in events", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          yield* store.write([
            history.message(1, "one", { mentions: ["bob"] }),
            history.edit(2, 1, "два", { mentions: ["eve"] }),
            history.edit(3, 1, "three")
          ])
          const [message] = yield* store.messages(history.channel, everything)
          const body = parsed(message?.body ?? "")
          assert.strictEqual(body["text"], "three")
          assert.strictEqual(body["edited"], 3)
          assert.notProperty(body, "mentions")
          const events = yield* store.events(history.channel, 0, 3, 10)
          assert.strictEqual(events[0]?.body, message?.body)
          assert.strictEqual(parsed(events[1]?.body ?? "")["text"], "два")
        })
      )

      it.effect("†16 what was deleted has no text in pages or events, whatever came first", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const make = (history: History) => [
            history.message(1, "secret", { mentions: ["bob"] }),
            history.edit(2, 1, "secret too", { mentions: ["bob"] }),
            history.edit(3, 1, "secret still"),
            history.delete(4, 1)
          ]
          const orders = [
            [0, 1, 2, 3],
            [3, 2, 1, 0],
            [3, 0, 1, 2],
            [1, 3, 0, 2],
            [2, 0, 3, 1]
          ]
          for (const order of orders) {
            const history = new History()
            const events = make(history)
            for (const i of order) yield* store.write(events.slice(i, i + 1))
            yield* store.write(events)
            const seen = yield* readAll(history.channel, senders)
            const bodies = [...seen.messages, ...seen.events].map((it) => fromWire(it.body))
            assert.isFalse(
              bodies.some((it) => it.includes("secret") || it.includes("bob")),
              bodies.join("\n")
            )
            assert.deepInclude(parsed(seen.messages[0]?.body ?? ""), { seq: 1, by: "ann", text: "", deleted: 4 })
            assert.deepInclude(parsed(seen.events[1]?.body ?? ""), { seq: 2, target: 1, text: "", void: true })
            assert.strictEqual(seen.unread[0], 0)
          }
        })
      )

      it.effect("edits and deletes of a message that has not come show nothing", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          yield* store.write([history.edit(5, 1, "early"), history.delete(6, 2)])
          assert.deepStrictEqual(yield* store.messages(history.channel, everything), [])
          assert.deepStrictEqual(
            (yield* store.events(history.channel, 0, 10, 10)).map((it) => it.seq),
            [5, 6]
          )
          assert.strictEqual(yield* store.countUnread(history.channel, 0, 10, "bob"), 0)
        })
      )

      it.effect("†32 a place belongs to the event of the larger generation", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          for (const reversed of [false, true]) {
            const history = new History()
            const events = [
              history.message(1, "kept"),
              history.message(2, "lost"),
              history.message(3, "lost too", { by: "bob" }),
              history.added(2, { generation: 2 }),
              history.message(3, "new", { generation: 2, by: "eve" })
            ]
            yield* store.write(reversed ? events.toReversed() : events)
            yield* store.write(events)
            const seen = yield* readAll(history.channel, ["eve"])
            assert.deepStrictEqual(
              seen.messages.map((it) => [it.seq, it.by, parsed(it.body)["text"]]),
              [
                [1, "ann", "kept"],
                [3, "eve", "new"]
              ]
            )
            assert.deepStrictEqual(
              seen.events.map((it) => parsed(it.body)["kind"]),
              ["message", "added", "message"]
            )
            assert.strictEqual(seen.unread[0], 1)
          }
        })
      )

      it.effect("†32 a message of a later generation is another one: older edits and deletes leave it alone", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const permutations = (count: number): ReadonlyArray<ReadonlyArray<number>> =>
            count === 0
              ? [[]]
              : permutations(count - 1).flatMap((rest) =>
                  Array.from({ length: count }, (_, at) => rest.toSpliced(at, 0, count - 1))
                )
          for (const order of permutations(4)) {
            const [edited, deleted] = [new History(), new History()]
            const ofEdited = [
              edited.message(5, "lost"),
              edited.edit(7, 5, "lost edit"),
              edited.message(5, "new", { generation: 2 }),
              edited.added(7, { generation: 2 })
            ]
            // An edit of a later generation stays void after any delete: silence rather than what was taken away.
            const ofDeleted = [
              deleted.message(5, "lost"),
              deleted.delete(9, 5),
              deleted.message(5, "new", { generation: 2 }),
              deleted.edit(8, 5, "new edit", { generation: 2 })
            ]
            for (const i of order) {
              yield* store.write(ofEdited.slice(i, i + 1))
              yield* store.write(ofDeleted.slice(i, i + 1))
            }
            for (const { channel } of [edited, deleted]) {
              const [message] = yield* store.messages(channel, everything)
              assert.strictEqual(parsed(message?.body ?? "")["text"], "new", order.join())
              assert.strictEqual(message?.deleted, false)
            }
          }
        })
      )

      it.effect("†32 a client id that took effect twice answers with its larger position", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          for (const reversed of [false, true]) {
            const history = new History()
            const first = history.message(4, "m")
            const again = { ...history.message(3, "m", { generation: 2 }), cid: first.cid }
            yield* store.write(reversed ? [again, first] : [first, again])
            const found = yield* store.findId(history.channel, "ann", first.cid)
            assert.strictEqual(Option.getOrThrow(found).seq, 3)
          }
        })
      )

      it.effect("the head is the largest position, with its count of messages", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          assert.isTrue(Option.isNone(yield* store.head(history.channel)))
          const events = [history.message(1, "a"), history.message(2, "b"), history.added(3)]
          yield* store.write(events)
          yield* store.write(events.slice(0, 1))
          assert.deepStrictEqual(yield* store.head(history.channel), Option.some({ generation: 1, seq: 3, n: 2 }))
          yield* store.write([history.message(2, "c", { generation: 2 })])
          assert.deepStrictEqual(yield* store.head(history.channel), Option.some({ generation: 2, seq: 2, n: 3 }))
        })
      )

      it.effect("the newest events come with the head they end at, messages and others, in order", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          assert.isTrue(Option.isNone(yield* store.newest(history.channel, 3)))
          yield* store.write([1, 3, 5].map((seq) => history.message(seq, "m")))
          yield* store.write([2, 4, 6].map((seq) => history.added(seq)))
          const { events, head, message } = Option.getOrThrow(yield* store.newest(history.channel, 3))
          assert.isUndefined(message)
          assert.deepStrictEqual(Option.some(head), yield* store.head(history.channel))
          assert.deepStrictEqual(events, yield* store.events(history.channel, 3, 6, 3))
          assert.deepStrictEqual(
            events.map((it) => it.seq),
            [4, 5, 6]
          )
        })
      )

      it.effect("a head that is a message says when and by whom it was sent, whatever was changed since", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const newest = Effect.fnUntraced(function* () {
            return Option.getOrThrow(yield* store.newest(history.channel, 0))
          })
          const first = history.message(1, "l")
          const sent = history.message(2, "m")
          yield* store.write([first, sent])
          const message = { at: sent.at, by: sent.by }
          assert.deepStrictEqual(yield* newest(), { head: { generation: 1, seq: 2, n: 2 }, message, events: [] })
          yield* store.write([history.edit(3, 2, "n")])
          assert.isUndefined((yield* newest()).message)
          yield* store.write([history.message(4, "o"), history.delete(5, 4)])
          assert.isUndefined((yield* newest()).message)
        })
      )

      it.effect("events are cut at the limit and at upTo", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          yield* store.write([1, 3, 5].map((seq) => history.message(seq, "m")))
          yield* store.write([2, 4, 6].map((seq) => history.added(seq)))
          const seqs = (yield* store.events(history.channel, 1, 5, 3)).map((it) => it.seq)
          assert.deepStrictEqual(seqs, [2, 3, 4])
          assert.deepStrictEqual(
            (yield* store.events(history.channel, 4, 5, 10)).map((it) => it.seq),
            [5]
          )
        })
      )

      it.effect("a client id finds its ack, by channel and sender, until it is forgotten", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const old = { ...history.message(1, "old"), cid: clientId(1_000_000_000_000) }
          const young = { ...history.message(2, "young"), cid: clientId(1_000_000_000_001) }
          const own = { ...history.added(3), cid: "" }
          yield* store.write([old, young, own])
          const found = yield* store.findId(history.channel, "ann", old.cid)
          assert.deepStrictEqual(found, Option.some({ seq: 1, n: 1, at: old.at, bodyHash: "h1" }))
          assert.isTrue(Option.isNone(yield* store.findId(history.channel, "bob", old.cid)))
          assert.isTrue(Option.isNone(yield* store.findId(freshChannel(), "ann", old.cid)))
          assert.isTrue(Option.isNone(yield* store.findId(history.channel, "ann", "")))
          yield* store.forgetIds(clientIdTime(young.cid))
          assert.isTrue(Option.isNone(yield* store.findId(history.channel, "ann", old.cid)))
          assert.isTrue(Option.isSome(yield* store.findId(history.channel, "ann", young.cid)))
        })
      )

      it.effect("forgetting takes all ids there are, however many", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const events = Array.from({ length: 5_500 }, (_, i) => ({
            ...history.message(i + 1, "m"),
            cid: clientId(900_000_000_000 + i)
          }))
          yield* store.write(events)
          yield* store.forgetIds(950_000_000_000)
          for (const i of [0, 4_999, 5_000, 5_499]) {
            assert.isTrue(Option.isNone(yield* store.findId(history.channel, "ann", events[i]?.cid ?? "")))
          }
          assert.strictEqual(yield* store.countUnread(history.channel, 0, 1e9, "bob"), 5_500)
        })
      )

      it.effect("unread counts are exact over many blocks, without one's own and what was deleted", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          const events = Array.from({ length: 5_000 }, (_, i) =>
            history.message(i + 1, "m", { by: senders[i % 3] ?? "ann" })
          )
          yield* store.write(events)
          const deleted = [1, 1_023, 1_024, 2_500, 4_999]
          yield* store.write(deleted.map((target, i) => history.delete(5_001 + i, target)))
          for (const [after, upTo] of [
            [0, 9_999],
            [1_023, 2_047],
            [1_022, 2_048],
            [2_400, 2_600],
            [10, 4_990]
          ] as const) {
            for (const user of [...senders, "zoe"]) {
              const expected = events.filter(
                (it) => it.seq > after && it.seq <= upTo && it.by !== user && !deleted.includes(it.seq)
              ).length
              assert.strictEqual(yield* store.countUnread(history.channel, after, upTo, user), expected)
            }
          }
        })
      )

      it.effect("unread counts are exact as the head passes the edge of a block", () =>
        Effect.gen(function* () {
          const store = yield* MessageStore
          const history = new History()
          yield* store.write(Array.from({ length: 1_020 }, (_, i) => history.message(i + 1, "m")))
          for (let seq = 1_021; seq <= 1_028; seq++) {
            yield* store.write([history.message(seq, "m")])
            for (const upTo of [seq - 1, seq, seq + 1, Number.MAX_SAFE_INTEGER]) {
              const expected = Math.min(seq, upTo)
              assert.strictEqual(yield* store.countUnread(history.channel, 0, upTo, "bob"), expected)
              assert.strictEqual(yield* store.countUnread(history.channel, 1, upTo, "bob"), expected - 1)
            }
            assert.strictEqual(yield* store.countUnread(history.channel, 0, seq, "ann"), 0)
          }
        })
      )

      it.effect(
        "†32 any order and any repetition gives what the owner committed",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<MessageStore>())
            const steps = fc.array(step, { minLength: 1, maxLength: 40 })
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(steps, seeds, batchSizes, (steps, seed, sizes) =>
                  run(
                    Effect.gen(function* () {
                      const store = yield* MessageStore
                      const history = new History()
                      const model = runModel(history, steps)
                      yield* writeInBatches(shuffled(model.events, seed), sizes)
                      const messages = yield* store.messages(history.channel, everything)
                      assert.deepStrictEqual(
                        messages.map((it) => {
                          const { text, edited, deleted } = parsed(it.body)
                          return {
                            seq: it.seq,
                            by: it.by,
                            text,
                            edited: deleted === undefined ? edited : undefined,
                            deleted
                          }
                        }),
                        [...model.messages].map(([seq, it]) => ({
                          seq,
                          by: it.by,
                          text: it.text,
                          edited: it.deleted === undefined ? it.edited : undefined,
                          deleted: it.deleted
                        }))
                      )
                      const bounds = [0, 1_023, 1_024, 2_500, model.top]
                      for (const user of senders) {
                        for (const after of bounds) {
                          for (const upTo of bounds) {
                            const expected = model.unread(after, upTo, user)
                            assert.strictEqual(yield* store.countUnread(history.channel, after, upTo, user), expected)
                          }
                        }
                      }
                      const events = yield* store.events(history.channel, 0, model.top, 1_000)
                      assert.deepStrictEqual(
                        events.map((it) => it.seq),
                        model.events.map((it) => it.seq)
                      )
                    })
                  )
                ),
                runs(40)
              )
            )
          }),
        60_000
      )

      it.effect(
        "†32 events of several generations commute and may be repeated",
        () =>
          Effect.gen(function* () {
            const run = Effect.runPromiseWith(yield* Effect.context<MessageStore>())
            const wild = fc.array(
              fc.record({
                seq: fc.integer({ min: 2, max: 9 }),
                generation: fc.integer({ min: 1, max: 3 }),
                kind: fc.constantFrom("message", "edit", "delete", "added"),
                target: fc.integer({ min: 1, max: 8 })
              }),
              { minLength: 1, maxLength: 25 }
            )
            const build = (
              channel: string,
              plan: ReadonlyArray<{ seq: number; generation: number; kind: string; target: number }>
            ) => {
              const history = new History(channel)
              const seen = new Set<string>()
              return plan.flatMap(({ seq, generation, kind, target }) => {
                const place = `${generation} ${seq}`
                // One event a place and generation (ONE-ORDER), and only what was before it is changed.
                if (seen.has(place) || (target >= seq && (kind === "edit" || kind === "delete"))) return []
                seen.add(place)
                const options = { generation, by: senders[generation % 3] ?? "ann" }
                const text = `text ${place}`
                if (kind === "message") return [{ ...history.message(seq, text, options), cid: "" }]
                if (kind === "edit") return [{ ...history.edit(seq, target, text, options), cid: "" }]
                if (kind === "delete") return [{ ...history.delete(seq, target, options), cid: "" }]
                return [{ ...history.added(seq, options), cid: "" }]
              })
            }
            yield* Effect.promise(() =>
              fc.assert(
                fc.asyncProperty(wild, seeds, batchSizes, (plan, seed, sizes) =>
                  run(
                    Effect.gen(function* () {
                      const [ordered, other] = [freshChannel(), freshChannel()]
                      const events = build(ordered, plan)
                      const once = events.toSorted((a, b) => a.generation - b.generation || a.seq - b.seq)
                      yield* (yield* MessageStore).write(once)
                      const again = shuffled(
                        events.map((it) => ({ ...it, channel: other })),
                        seed
                      )
                      yield* writeInBatches(again, sizes)
                      assert.deepStrictEqual(yield* readAll(other, senders), yield* readAll(ordered, senders))
                    })
                  )
                ),
                runs(150)
              )
            )
          }),
        60_000
      )
    })
  })
}
