/**
 * Whether a cluster's stores answer as a data directory's do: every channel's history (messages and events in their current
 * form, hashed on both sides), settings, stays and counts; sessions, users, cursors, mentions, the client ids that count, and
 * what is parked. By the same seams that owners use, so what is compared is what will be read.
 */
import { createHash } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import { Effect, Option } from "effect"
import { Limits } from "@parley/protocol/Limits"
import { parkedEventsMax } from "@parley/actors/fanout/Parking"
import type { StoreExport } from "@parley/storage/sqlite/StoreExport"
import { MigrationDiffers } from "./MigrateError.ts"
import { eachOf, patiently } from "./Paged.ts"
import { staysOf, type Stores } from "./Stores.ts"

/** Differences that are told; whoever has so many has to begin anew anyway. */
const differencesMax = 20
const pageRows = 500

export interface ChannelHash {
  readonly channel: string
  readonly events: number
  readonly sha256: string
}

export interface Compared {
  readonly channels: ReadonlyArray<ChannelHash>
  readonly ids: number
}

export const compareStores = Effect.fnUntraced(function* (source: StoreExport, from: Stores, to: Stores, now: number) {
  const differences: Array<string> = []
  const check = (what: string, here: unknown, there: unknown): void => {
    if (isDeepStrictEqual(here, there) || differences.length >= differencesMax || differences.includes(what)) return
    differences.push(what)
  }
  const both = <A, E extends { readonly _tag: string }>(what: string, ask: (of: Stores) => Effect.Effect<A, E>) =>
    Effect.map(Effect.all([ask(from), patiently(ask(to))], { concurrency: 2 }), ([here, there]) => {
      check(what, here, there)
      return here
    })

  const channels: Array<ChannelHash> = []
  yield* eachOf(source.channels(), (channel) =>
    Effect.gen(function* () {
      yield* both(`${channel}: settings`, ({ directory }) => directory.channel(channel))
      yield* both(`${channel}: members`, ({ directory }) => staysOf(directory, channel))
      const head = yield* both(`${channel}: head`, ({ messages }) => messages.head(channel))
      const upTo = Option.isSome(head) ? head.value.seq : 0
      yield* both(`${channel}: unread`, ({ messages }) => messages.countUnread(channel, 0, upTo, ""))
      channels.push(yield* both(`${channel}: history`, ({ messages }) => hashOf(messages, channel, upTo)))
    })
  )
  yield* eachOf(source.sessions(), ({ user }) =>
    Effect.andThen(
      both(`${user}: session`, ({ directory }) => sessionOf(directory, user)),
      // Also of those who have none: what an earlier cluster of this name left in Redis would be theirs.
      both(`${user}: cursors`, ({ cursors }) => cursorsOf(cursors, user))
    )
  )
  yield* eachOf(source.users(), ({ user }) => both(`${user}: profile`, ({ directory }) => directory.user(user)))
  yield* eachOf(source.cursors(), ({ user }) => both(`${user}: cursors`, ({ cursors }) => cursorsOf(cursors, user)))
  yield* eachOf(source.mentions(), ({ channel, seq, user }) =>
    both(`${user}: mention in ${channel} at ${seq}`, ({ inbox }) => inbox.countMentions(user, channel, seq - 1, seq))
  )
  const ids = yield* eachOf(source.ids(now - Limits.idempotencyWindowMs), ({ channel, cid, sender }) =>
    both(`${channel}: client id ${cid}`, ({ messages }) => messages.findId(channel, sender, cid))
  )
  yield* eachOf(source.parkedEntities(), ({ consumer, id, topic }) =>
    both(`what is parked of ${topic} ${id} for ${consumer}`, ({ parked }) =>
      Effect.map(parked.of(consumer, topic, id, parkedEventsMax), (all) =>
        all.map(({ event, ...rest }) => ({ ...rest, event: Buffer.from(event).toString("base64") }))
      )
    )
  )
  if (differences.length > 0) return yield* new MigrationDiffers({ differences })
  return { channels, ids } satisfies Compared
})

/** The whole history as readers and syncs get it. */
const hashOf = Effect.fnUntraced(function* (messages: Stores["messages"], channel: string, upTo: number) {
  const hash = createHash("sha256")
  for (let after = 0; ;) {
    const range = { after, before: upTo + 1, limit: pageRows, newest: false }
    const page = yield* messages.messages(channel, range)
    for (const { body, by, deleted, n, seq } of page) hash.update(`m ${seq} ${n} ${by} ${deleted} ${body}\n`, "latin1")
    const last = page.at(-1)
    if (last === undefined) break
    after = last.seq
  }
  let events = 0
  for (let after = 0; ;) {
    const page = yield* messages.events(channel, after, upTo, pageRows)
    for (const { body, seq } of page) hash.update(`e ${seq} ${body}\n`, "latin1")
    events += page.length
    const last = page.at(-1)
    if (last === undefined) break
    after = last.seq
  }
  return { channel, events, sha256: hash.digest("hex") } satisfies ChannelHash
})

/** Bytes compare as such, whatever kind of array holds them. */
const sessionOf = (directory: Stores["directory"], user: string) =>
  Effect.map(
    directory.session(user),
    Option.map((row) => ({ ...row, state: Buffer.from(row.state).toString("base64") }))
  )

const cursorsOf = (cursors: Stores["cursors"], user: string) =>
  Effect.map(cursors.read(user), (all) =>
    all.map(({ channel, position: { generation, seq } }) => `${channel} ${generation} ${seq}`).sort()
  )
