/** Cursors in memory, merged by max. */
import type { Position } from "@parley/protocol/Ids"
import { Effect, Layer } from "effect"
import { CursorStore, laterCursor } from "../CursorStore.ts"

const make = (): CursorStore["Service"] => {
  /** User → channel → cursor. */
  const users = new Map<string, Map<string, Position>>()
  return CursorStore.of({
    read: (user) =>
      Effect.sync(() => [...(users.get(user) ?? [])].map(([channel, position]) => ({ channel, position }))),
    merge: (user, cursors) =>
      Effect.sync(() => {
        const own = users.get(user) ?? new Map<string, Position>()
        users.set(user, own)
        for (const { channel, position } of cursors) {
          const known = own.get(channel)
          own.set(channel, known === undefined ? position : laterCursor(known, position))
        }
      }),
    ofChannel: (channel) =>
      Effect.sync(() =>
        [...users].flatMap(([user, own]) => {
          const position = own.get(channel)
          return position === undefined ? [] : [{ user, position }]
        })
      )
  })
}

export const layerMemory: Layer.Layer<CursorStore> = Layer.effect(CursorStore, Effect.sync(make))
