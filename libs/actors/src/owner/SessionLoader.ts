/** A cold session: its last stored state and the cursors the store has, or a new one. */
import { Effect, Option } from "effect"
import { replay, SessionState } from "../session/SessionState.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

export const loadSession = (owner: ShardOwner, user: string, done: (state: SessionState | undefined) => void): void => {
  const { cursors, directory } = owner.context.stores
  const read = Effect.gen(function*() {
    const row = yield* directory.session(user)
    const stored = yield* cursors.read(user)
    const state = Option.isSome(row) ? SessionState.decode(row.value.state) : SessionState.empty(user)
    for (const { channel, position } of stored) state.mergeCursor(channel, position)
    return state
  })
  setImmediate(() => whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    owner.context.run(read, (result) => {
      if (!("ok" in result)) return done(undefined)
      const state = result.ok
      for (const entry of owner.checkpoints.takeLate("user", user)) {
        if (entry.seq > state.committedUserSeq) replay(state, entry)
      }
      done(state)
    })
  }))
}
