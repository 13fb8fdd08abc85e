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
import { clientIdTime } from "@parley/protocol/Ids"

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

export const channelStoreContract = <E>(name: string, layer: Layer.Layer<Seams, E>): void => {
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
            named: [{ user: "ben", channel, seq: 2 }],
            taken: [{ user: "cleo", channel, seq: 2 }],
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
          yield* inbox.addMentions([{ user: "cleo", channel, seq: 2 }])
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
                      const idBound = Math.max(...written.map(({ cid }) => clientIdTime(cid)))
                      assert.deepStrictEqual(
                        yield* directory.channel(channel),
                        Option.some({ ...rowAt(channel, first), seq: top.seq, n: top.n, idBound })
                      )
                    })
                  )
                ),
                { numRuns: 30 }
              )
            )
          })
      )

      it.effect("a channel without a row gets none by its messages", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const history = new History()
          yield* store.write({ ...nothing, events: [history.message(1, "m")] })
          assert.isTrue(Option.isNone((yield* readAll(history.channel)).row))
          assert.deepStrictEqual(yield* store.load({ channels: [history.channel], newestSeqs: 5, staysMax: 5 }), [
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
            for (const [newestSeqs, staysMax] of [
              [50, 10],
              [7, 1],
              [1, 2]
            ] as const) {
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
                  newest: Option.getOrUndefined(yield* messages.newest(channel, newestSeqs)),
                  stays: stays.length > staysMax ? undefined : stays
                })
              }
            }
          })
      )

      it.effect("a channel whose events are not there yet has a row all the same", () =>
        Effect.gen(function* () {
          const store = yield* ChannelStore
          const directory = yield* Directory
          const history = new History()
          const { channel } = history
          const row = rowAt(channel, history.added(1))
          yield* directory.writeChannels([row])
          const [loaded] = yield* store.load({ channels: [channel], newestSeqs: 5, staysMax: 5 })
          assert.deepStrictEqual(loaded, { row, newest: undefined, stays: [] })
        })
      )
    })
  })
}
