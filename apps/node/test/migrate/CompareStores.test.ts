/** A migration's last word is the comparison: whatever one store lacks of the other, it has to name. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { StoreUnavailable } from "@parley/storage/StoreError"
import { StoreExport } from "@parley/storage/sqlite/StoreExport"
import { storeFile } from "../../src/EmbeddedFiles.ts"
import { compareStores } from "../../src/migrate/CompareStores.ts"
import { copyStores } from "../../src/migrate/CopyStores.ts"
import { MigrationDiffers } from "../../src/migrate/MigrateError.ts"
import { stores, type Stores } from "../../src/migrate/Stores.ts"
import { layerOld, makeOldDirectory, quiet, team } from "./OldDirectory.ts"

const layerEmpty = Layer.fresh(Layer.mergeAll(layerMemoryStores, MemoryEventLog.layer({ positions: "dense" })))

/** The old directory, open: made once for all that only read it. */
class Old extends Context.Service<Old, { readonly from: Stores; readonly source: StoreExport }>()("test/Old") {
  static readonly layer = Layer.effect(
    Old,
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-compare-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      yield* makeOldDirectory(directory)
      const from = yield* Effect.provideContext(stores, yield* Layer.build(layerOld(directory)))
      const source = yield* Effect.acquireRelease(
        Effect.sync(() => new StoreExport(join(directory, storeFile))),
        (it) => Effect.sync(() => it[Symbol.dispose]())
      )
      return Old.of({ from, source })
    })
  )
}

/** Copies into empty stores by way of `change`, and compares. */
const moved = (
  change: (to: Stores) => Stores,
  after: (to: Stores) => Effect.Effect<void, unknown> = () => Effect.void
) =>
  Effect.gen(function* () {
    const { from, source } = yield* Old
    const to = yield* Effect.provideContext(stores, yield* Layer.build(layerEmpty))
    const copied = yield* copyStores(source, from, change(to), () => undefined)
    yield* after(to)
    return { copied, compared: yield* compareStores(source, from, to, Date.now()) }
  })

/** Apart from client ids, of which each event that is missing has one. */
const differences = (...how: Parameters<typeof moved>) =>
  Effect.map(Effect.flip(moved(...how)), (error) =>
    error instanceof MigrationDiffers
      ? error.differences.filter((what) => !what.includes(": client id ")).toSorted()
      : error
  )

const nothing = () => Effect.void
const losses: ReadonlyArray<readonly [what: string, lose: (to: Stores) => Stores, named: ReadonlyArray<string>]> = [
  [
    "the text of one message",
    (to) => ({
      ...to,
      messages: {
        ...to.messages,
        write: (events) => to.messages.write(events.filter(({ channel, seq }) => channel !== quiet || seq !== 2))
      }
    }),
    [`${quiet}: head`, `${quiet}: history`, `${quiet}: unread`]
  ],
  [
    "a delete",
    (to) => ({
      ...to,
      messages: { ...to.messages, write: (events) => to.messages.write(events.filter(({ kind }) => kind !== "delete")) }
    }),
    [`${team}: history`, `${team}: unread`]
  ],
  [
    "one stay of a member",
    (to) => ({
      ...to,
      directory: {
        ...to.directory,
        writeMembers: (stays) => to.directory.writeMembers(stays.filter(({ to: last }) => last !== 3))
      }
    }),
    [`${team}: members`]
  ],
  [
    "settings of a channel",
    (to) => ({
      ...to,
      directory: {
        ...to.directory,
        writeChannels: (rows) => to.directory.writeChannels(rows.filter(({ channel }) => channel === team))
      }
    }),
    [`${quiet}: settings`]
  ],
  ["users", (to) => ({ ...to, directory: { ...to.directory, putUser: nothing } }), ["ann: profile", "carl: profile"]],
  [
    "client ids of what another generation replaced",
    (to) => ({
      ...to,
      messages: {
        ...to.messages,
        write: (events) => to.messages.write(events.filter(({ kind }) => kind !== "replaced"))
      }
    }),
    []
  ],
  [
    "sessions",
    (to) => ({ ...to, directory: { ...to.directory, writeSessions: nothing } }),
    ["ann: session", "bob: session"]
  ],
  ["cursors", (to) => ({ ...to, cursors: { ...to.cursors, merge: nothing } }), ["ann: cursors"]],
  ["mentions", (to) => ({ ...to, inbox: { ...to.inbox, addMentions: nothing } }), [`bob: mention in ${team} at 2`]],
  [
    "one of two parked events",
    (to) => ({ ...to, parked: { ...to.parked, put: (events) => to.parked.put(events.slice(1)) } }),
    [`what is parked of channel ${quiet} for persister`]
  ]
]

layer(Old.layer, { excludeTestServices: true })("†26 †29 †32 a data directory's stores into others", (it) => {
  it.effect("are the same there, of every generation, with what is parked", () =>
    Effect.gen(function* () {
      const { compared, copied } = yield* moved((to) => to)
      assert.deepStrictEqual(
        { channels: copied.channels, mentions: copied.mentions, parked: copied.parked, users: copied.users },
        { channels: 2, mentions: 2, parked: 2, users: 2 }
      )
      assert.sameMembers(
        compared.channels.map(({ channel }) => channel),
        [team, quiet]
      )
      assert.isAbove(compared.ids, 5)
    })
  )

  for (const [what, lose, named] of losses) {
    it.effect(`name what is missing: ${what}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* differences(lose), named.toSorted())
      })
    )
  }

  it.effect("name a cursor that an earlier cluster left, of a user who has none", () =>
    Effect.gen(function* () {
      const left = (to: Stores) => to.cursors.merge("bob", [{ channel: team, position: { generation: 0, seq: 5 } }])
      assert.deepStrictEqual(yield* differences((to) => to, left), ["bob: cursors"])
    })
  )

  it.effect("are written again where a store is late", () =>
    Effect.gen(function* () {
      let late = 3
      const { copied } = yield* moved((to) => ({
        ...to,
        parked: {
          ...to.parked,
          put: (events) =>
            Effect.suspend(() =>
              late-- > 0 ? Effect.fail(new StoreUnavailable({ store: "test", cause: "late" })) : to.parked.put(events)
            )
        }
      }))
      assert.deepStrictEqual([copied.parked, late], [2, -1])
    })
  )
})
